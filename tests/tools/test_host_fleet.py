"""`vgic host fleet`: the matrix and its page; and the story of a migration that the README tells."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from click.testing import CliRunner, Result

from vgic_tools.cli import main
from vgic_tools.hosts.reading import read_host

README = Path(__file__).parents[2] / "README.md"
STORY = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def lines(done: Result) -> list[str]:
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_a_matrix_of_vms_and_hosts() -> None:
    done = run("host", "fleet", "graviton2", "rk3588")
    assert done.exit_code == 1
    assert lines(done) == [
        "a VM of on graviton2 on rk3588",
        "graviton2 yes no",
        "rk3588, A55 no A55: unknown, A76: no",
        "rk3588, A76 no A55: no, A76: unknown",
    ]
    assert run("host", "fleet", "graviton2").exit_code == 0
    document = json.loads(run("host", "fleet", "graviton2", "rk3588", "--json").stdout)
    assert document["vms"][1]["hosts"][1]["clusters"] == {"A55": "unknown", "A76": "refused"}


class Page(HTMLParser):
    """What a page says, where its links lead, and which tags are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.open: list[str] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag != "meta":
            self.open.append(tag)
        self.links |= {told["href"] or ""} if "href" in told else set()
        self.anchors |= {f"#{told['id']}"} if "id" in told else set()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def test_a_page_says_why_behind_each_link(tmp_path: Path) -> None:
    path = tmp_path / "fleet.html"
    assert run("host", "fleet", "graviton2", "graviton3", "rk3588", "--html", str(path)).exit_code == 1
    page = Page(path.read_text())
    assert page.open == []
    # Every pair but each Graviton with itself, and the RK3588's two clusters.
    assert len(page.links) == 10
    assert page.links == page.anchors
    assert "KVM does not keep what the architecture would allow:" in page.said
    assert run("host", "fleet", "graviton2", "--html", str(tmp_path)).exit_code == 2


def test_nothing_from_a_file_is_markup(tmp_path: Path) -> None:
    document = read_host("rk3588").document() | {"name": "<script>alert(1)</script>"}
    document["clusters"][0]["name"] = '"><b>'
    host = tmp_path / "<i>.json"
    host.write_text(json.dumps(document))
    path = tmp_path / "fleet.html"
    run("host", "fleet", str(host), "graviton2", "--html", str(path))
    text = path.read_text()
    for part in ("<script", '"><b>', "<i>"):
        assert part not in text
    assert "&lt;script&gt;" in text


def test_the_readme_tells_what_the_commands_print() -> None:
    [story] = [block for block in STORY.findall(README.read_text()) if block.startswith("$ vgic host ")]
    shown: list[str] = []
    commands = 0
    for line in story.splitlines():
        words = line.split()
        if words[0] == "$":
            done = run(*words[2:])
            assert done.exit_code in (0, 1)
            shown = lines(done)
            commands += 1
        else:
            assert " ".join(words) in shown
    assert commands == 4
