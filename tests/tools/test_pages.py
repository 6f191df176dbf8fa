"""Pages of replays and states: what they say, that nothing in them is markup, and how a browser takes them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import recorded_guests
import vgic
from browser import missing, shown
from qemu_log import awake, dist, icc, ppi, spi
from small_timeline import small_timeline
from vgic_tools.cli import main
from vgic_tools.replay import Result as Replayed
from vgic_tools.replay.result import Difference
from vgic_tools.report.replay_page import replay_page
from vgic_tools.report.timeline_data import timeline_data

EVIL = '</script><script>alert(1)</script><b>"&\x1b[5m\u202e'


@pytest.fixture
def in_browser() -> None:
    """Skips where no browser runs."""
    why = missing()
    if why:
        pytest.skip(why)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


class Page(HTMLParser):
    """What a page says by the ids of its parts, and what it would load."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.said: dict[str, str] = {}
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.append(tag)
        self.loads += [str(told[name]) for name in ("src", "href") if name in told]
        if tag not in self.VOID:
            self.open.append((tag, told.get("id") or ""))

    def handle_endtag(self, tag: str) -> None:
        self.handle_data(" ")
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, name in self.open:
            self.said[name] = self.said.get(name, "") + data


def page_of(path: Path) -> Page:
    """A page that is well-formed, and that needs nothing else."""
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert page.loads == ["data:,"]
    assert "http" not in re.sub(r"https?://www\.w3\.org", "", text)
    return page


def boot(recording: str, html: Path) -> Result:
    trace, cmdline = recorded_guests.log(recording, "core"), recorded_guests.cmdline(recording)
    return run("replay", trace, "--qemu-cmdline", cmdline, "--html", html)


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a boot of 4 vCPUs."""
    path = tmp_path_factory.mktemp("pages") / "boot.html"
    assert boot("linux_smp4_its", path).exit_code == 0
    return path


def test_a_boot(booted: Path) -> None:
    said = page_of(booted).said
    assert said["verdict"].strip() == "no divergence: 9,005 recorded values came out the same"
    assert "ICC_IAR1 4,990" in " ".join(said["compared"].split())
    assert "0: 0.0.0.0 444 1,088 38 12" in " ".join(said["taken"].split())
    assert "0.0.0.2 277 96 104" in " ".join(said["sgis"].split())
    assert "SPI 79 0.0.0.0 4" in " ".join(said["routes"].split())
    assert "GITS_CREADR 344" in " ".join(said["exits"].split())
    assert "vgic replay" in said["provenance"]
    assert re.search(r"its SHA-256\s+[0-9a-f]{64}\s", said["provenance"])
    assert "divergence" not in said
    assert 'data-do="divergence"' not in booted.read_text("utf-8")
    assert booted.stat().st_size < 400_000


def test_a_divergence_and_its_context(tmp_path: Path) -> None:
    log, page = tmp_path / "boot.log", tmp_path / "boot.html"
    log.write_text("\n".join([*awake(), ppi(0, 27, 1), dist("read", 0, 0x51), icc("read", "IAR1", 0, 27)]) + "\n")
    assert run("replay", log, "--cpus", 1, "--profile", "qemu", "--html", page).exit_code == 1
    page_said = page_of(page).said
    said = " ".join(page_said["divergence"].split())
    assert "GICD_CTLR" in said
    assert f"expected {0x51:#x} got {0x53:#x}" in said
    assert "EnableGrp1" in said
    assert "line of 0.0.0.0 PPI 27 goes high" in said
    assert page_said["verdict"].startswith("diverged: 1 of ")
    assert json.loads(page_said["data"])["divergence"] is not None
    assert 'data-do="divergence"' in page.read_text("utf-8")


def test_nothing_from_a_file_is_markup(tmp_path: Path) -> None:
    result = Replayed(EVIL, EVIL, notes=[EVIL], undecided=EVIL)
    result.final_differences.append(Difference(EVIL, 1, 2))
    result.inputs[EVIL] = result.compared[EVIL] = result.accepted[EVIL] = 1
    timeline = small_timeline()
    timeline.cpus = [EVIL, EVIL]
    timeline.accesses[EVIL, True] = 1
    path = tmp_path / "evil.html"
    path.write_text(replay_page(result, timeline, EVIL, {EVIL: EVIL}), "utf-8")
    page = page_of(path)
    assert page.tags.count("script") == 2
    assert page.tags.count("b") == 6  # Of the cards.
    text = path.read_text("utf-8")
    assert not [raw for raw in ("alert(1)</script>", "\x1b", "\u202e", "<b>&#34;", '<b>"') if raw in text]
    assert json.loads(page.said["data"])["cpus"][0]["name"] == f"0: {EVIL}"


def test_a_page_shows_where_the_state_at_the_end_differs(tmp_path: Path) -> None:
    result = Replayed("boot.log", "a machine", final_differences=[Difference("GICD_ISENABLER1", 0xF, 0xE)])
    path = tmp_path / "boot.html"
    path.write_text(replay_page(result, small_timeline(), "A boot", {}), "utf-8")
    assert "GICD_ISENABLER1 0xf 0xe INTID 32 1 -> 0" in " ".join(page_of(path).said["final"].split())


def test_times_of_a_page_are_differences() -> None:
    data, cut = timeline_data(small_timeline(), 33_000)
    assert not cut
    assert (data["unit"], data["end"], data["divergence"]) == (1000, 100, 33)
    assert data["cpus"][1]["handled"] == [20, 40, 27, 0, 20, 10, 3, 1, 40, -1, 8195, 0]
    assert data["cpus"][1]["outputs"] == [10, 2, 10, 0, 10, 3, 10, 1, 50, 0]
    assert [cpu["busy"] for cpu in data["cpus"]] == [True, True]
    assert data["lines"][1] == {"name": "SPI 42", "intid": 42, "times": [5]}
    assert data["sgis"] == [30, 0, 1, 3, 10]


def test_a_long_timeline_is_cut_and_says_so() -> None:
    data, cut = timeline_data(small_timeline(), 95_000, most=8)
    assert cut
    assert data["end"] == 30
    assert data["divergence"] is None
    assert data["cpus"][1]["handled"] == [20, -1, 27, 0]


def test_pages_need_jinja(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    log, page = tmp_path / "boot.log", tmp_path / "boot.html"
    log.write_text("\n".join(awake()) + "\n")
    done = run("replay", log, "--cpus", 1, "--html", page)
    assert (done.exit_code, done.stderr) == (2, "vgic: --html needs Jinja: pip install 'vgic[report]'\n")
    assert not page.exists()


@pytest.mark.parametrize("option", ["--html", "--vcd", "--perfetto"])
def test_what_cannot_be_written_is_told(option: str, tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_text("\n".join([*awake(), spi(42, 1)]) + "\n")
    done = run("replay", log, "--cpus", 1, option, tmp_path / "no" / "where")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_no_file_is_replaced_that_is_something_else(tmp_path: Path) -> None:
    log, state = tmp_path / "boot.log", a_state(tmp_path / "vm.state")
    log.write_text("\n".join(awake()) + "\n")
    same = tmp_path / "x"
    for words in (
        ["replay", log, "--cpus", 1, "--html", log],
        ["replay", log, "--cpus", 1, "--html", same, "--vcd", same],
        ["state", "show", state, "--html", state],
    ):
        done = run(*words)
        assert done.exit_code == 2
        assert "of this command, too" in done.stderr
    assert not same.exists()
    assert log.read_text().startswith("gicv3_")
    assert vgic.State.from_file(state)


def a_state(path: Path) -> Path:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(4), lpis=True))
    gic.wake_all()
    gic.write(gic.config.gicd_base, 4, 3)
    gic.spi(34).set_level(True)
    gic.ppi(1, 27).set_level(True)
    vgic.State.of(gic).to_file(path)
    return path


def test_a_state(tmp_path: Path) -> None:
    state, html = a_state(tmp_path / "vm.state"), tmp_path / "vm.html"
    assert run("state", "show", state, "--html", html).exit_code == 0
    said = page_of(html).said
    assert "A saved VM. A register" in html.read_text("utf-8")
    assert "4: 0.0.0.0, 0.0.0.1, 0.0.0.2, 0.0.0.3" in said["vm"]
    assert "vCPU 1 (0.0.0.1)" in said["waiting"]
    assert "INTID 34: pending; " in said["waiting"]
    assert "EnableGrp1 1, EnableGrp0 1" in said["registers"]
    assert "vgic state show" in said["provenance"]
    assert run("state", "show", state, "--html", html, "--fields", "GICD_CTLR").exit_code == 2


@pytest.mark.usefixtures("in_browser")
def test_a_browser_draws_a_boot_at_once(booted: Path) -> None:
    """It draws what there is, and its buttons do what they say."""
    script = """
    const press = (name) => document.querySelector(`[data-do=${name}]`).click();
    document.getElementById("intid").value = 27; press("find"); press("find");
    document.getElementById("idle").click(); press("in"); press("left"); press("out"); press("right");
    press("find");
    const pen = document.getElementById("canvas").getContext("2d", {willReadFrequently: true});
    const {data} = pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height);
    const colours = new Set();
    for (let i = 0; i < data.length; i += 4) colours.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    document.body.dataset.colours = colours.size;
    """
    found = shown(booted, script)
    assert found.console == []
    assert found.ready >= 0
    assert "PPI 27, taken by" in found.document
    assert re.search(r'id="range">[\d.]+ s to [\d.]+ s: [\d.]+ ms<', found.document)
    colours = re.search(r'data-colours="(\d+)"', found.document)
    assert colours is not None
    assert int(colours[1]) > 10


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.usefixtures("in_browser")
def test_a_page_can_be_used_within_a_second(booted: Path) -> None:
    assert 0 <= min(shown(booted).ready for _ in range(3)) < 1000


@pytest.mark.slow
@pytest.mark.usefixtures("in_browser")
def test_a_browser_takes_the_page_of_126_vcpus(tmp_path: Path) -> None:
    path = tmp_path / "boot.html"
    assert boot("linux_smp126_hi_noits", path).exit_code == 0
    assert path.stat().st_size < 1_000_000
    found = shown(
        path, "document.getElementById('idle').click(); document.querySelector('[data-do=in]').click()", 500
    )
    assert found.console == []
    assert found.ready >= 0


@pytest.mark.usefixtures("in_browser")
def test_a_browser_filters_the_registers_of_a_state(tmp_path: Path) -> None:
    state, html = a_state(tmp_path / "vm.state"), tmp_path / "vm.html"
    assert run("state", "show", state, "--html", html).exit_code == 0
    script = """
    const box = document.getElementById("filter");
    box.value = "gicd_ctlr"; box.dispatchEvent(new Event("input"));
    const rows = [...document.querySelectorAll("#registers tbody tr")];
    document.body.dataset.left = rows.filter((row) => !row.hidden).length;
    """
    found = shown(html, script)
    assert found.console == []
    assert 'data-left="1"' in found.document
