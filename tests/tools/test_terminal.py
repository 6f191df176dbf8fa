"""What reaches a terminal: every command on a pseudo-terminal, with inputs that would like to take it over."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest
from click.testing import CliRunner

import recorded_guests
import vgic
from mmio.trace import Access, CpuReset, NativeWriter, Other, PackedWriter, SysReg, Text
from qemu_log import dist
from sessions import PATIENCE
from vgic_tools.cli import main
from vgic_tools.terminal import visible

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools" / "vgic_tools"

EVIL = "\x1b]0;owned\x07\x1b[5m\x9b5m\u202e\u2066\u200b\x7f[red]"
"""A window title, blinking text twice, two turns of the direction of writing, and Rich's markup."""
RAW = ("\x1b]", "\x1b[5m", "\x9b", "\u202e", "\u2066", "\u200b", "\x07", "\x7f")
SHOWN = r"\x1b]0;owned\x07\x1b[5m\x9b5m\u202e\u2066\u200b\x7f[red]"

# Runs each of the commands, and marks where its output ends.
DRIVER = """
import json, sys
from vgic_tools.cli import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        print(f"\\0{end.code}\\0", end="", flush=True)
"""


def on_terminal(folder: Path, *commands: list[object]) -> list[tuple[int, str]]:
    """Status and output, standard error too, of commands that run in a folder, on a terminal."""
    texts = json.dumps([[str(argument) for argument in command] for command in commands])
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", DRIVER, texts],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join(map(str, filter(None, sys.path)))},
    ) as process:
        os.close(theirs)
        output = b""
        deadline = Timer(PATIENCE, process.kill)
        deadline.start()
        try:
            while data := os.read(ours, 1 << 16):
                output += data
        except OSError:
            pass  # How Linux says that the other end is closed.
        deadline.cancel()
        os.close(ours)
    assert process.returncode == 0, output
    parts = re.split(r"\0(\d+)\0", output.decode())
    assert parts.pop() == ""
    return [(int(status), text) for text, status in zip(parts[::2], parts[1::2], strict=True)]


def check(folder: Path, shown: bool, *commands: list[object]) -> list[tuple[int, str]]:
    """Nothing raw on the terminal, whatever the commands; the evil text made visible where `shown`."""
    results = on_terminal(folder, *commands)
    for command, (status, text) in zip(commands, results, strict=True):
        assert "Traceback" not in text, text
        assert not [raw for raw in RAW if raw in text], (command, text)
        # Words may be wrapped anywhere.
        assert not shown or SHOWN in re.sub(r"\r\n", "", text), (command, status, text)
    return results


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a name that is as bad as any."""
    made = tmp_path / EVIL
    made.mkdir()
    return made


def trace(folder: Path, *lines: str) -> Path:
    """A log of some lines in a file with a bad name; it diverges."""
    path = folder / f"{EVIL}.log"
    path.write_text("\n".join([*lines, dist("read", 0xFFE8, 0x3A), ""]))
    return path


def test_a_text_becomes_visible() -> None:
    assert visible(EVIL) == SHOWN
    assert visible("tab\tline\nfeed\r\0 é 漢 \u2028 \ue000 \udcff") == (
        r"tab\tline\nfeed\r\x00 é 漢 \u2028 \ue000 \xff"
    )
    assert visible("plain [bold]") == "plain [bold]"


def test_a_long_text_is_cut() -> None:
    text = visible("\x1b" * 1_000_000)
    assert text == r"\x1b" * 2000 + "... (1,000,000 characters)"


def test_an_event_that_is_not_known(folder: Path) -> None:
    path = trace(folder, f"qemu: {EVIL}", f"gicv3_unknown {EVIL}", "x" * 100_000)
    [(status, text)] = check(folder, True, ["replay", path, "--cpus", 1])
    assert status == 1
    assert len(text) < 10_000
    assert f"qemu: {SHOWN}" in re.sub(r"\r\n", "", text)


def test_names_and_texts_of_traces(folder: Path) -> None:
    native, packed = folder / f"{EVIL}.jsonl", folder / f"{EVIL}.vgpk"
    events = [
        Text(1, None, None, f"{EVIL}\nforged: line"),
        Other(1, None, None, EVIL, EVIL),
        CpuReset(1, None, None, EVIL),
        SysReg(1, None, None, 0, f"ICC_{EVIL}", 0, False),
        Access(1, None, None, f"gicd{EVIL}", None, 0, 4, 0, False, False, False),
        Access(1, None, None, "gicd", None, 0xFFE8, 4, 0x3A, False, False, False),
    ]
    for skipped in range(3):
        for path, writer in ((native, NativeWriter(native, {})), (packed, PackedWriter(packed, {}))):
            with writer:
                for event in events[: 3 if skipped == 2 else 6]:
                    if not (skipped == 1 and isinstance(event, SysReg | Access) and EVIL in repr(event)):
                        writer.write(event)
            results = check(folder, True, ["replay", path, "--cpus", 1], ["its", path])
            assert "\nforged" not in results[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"gicv3_dist_read {EVIL}\n",
        f'{{"format":"vgic-trace","version":"{"a" * 5000}"}}\n',
        f'{{"format":"vgic-trace","version":1}}\n{{"ev":{json.dumps(EVIL)}}}\n',
        f'{{"format":"vgic-trace","version":1,"machine":{{{json.dumps(EVIL)}:1}}}}\n{{"ev":"text","text":"x"}}\n',
        f"\0{EVIL}",
    ],
)
def test_traces_that_cannot_be_used(folder: Path, text: str) -> None:
    path = folder / EVIL
    path.write_text(text)
    commands = [["replay", path], ["replay", path, "--cpus", 1], ["its", path], ["convert", path, folder / "out"]]
    commands.append(["affinity", "traps", path, "--output", folder / "out"])
    check(folder, False, *commands, ["state", "show", path], ["state", "check", "--order", path])


def test_machines(folder: Path) -> None:
    cmdline, blob = folder / EVIL, folder / f"{EVIL}.dtb"
    commands: list[list[object]] = []
    for text in (f"ls {EVIL}", f"qemu -M virt,gic-version={EVIL}", f"qemu -M {EVIL}", f"qemu '{EVIL}"):
        (folder / f"{len(commands)}{EVIL}").write_text(text)
        commands.append(["map", "--qemu-cmdline", folder / f"{len(commands)}{EVIL}"])
    tree = (ROOT / "tests" / "trees" / "ranges.dtb").read_bytes()
    # A bus of a bad name, with the name of its ranges spoilt.
    blob.write_bytes(tree.replace(b"inner\0\0\0", b"\x1b[5m\x7f\0\0\0").replace(b"ranges\0", b"rangex\0"))
    cmdline.write_text("qemu-system-aarch64 -M virt,gic-version=3")
    results = check(folder, True, *commands, ["map", "--dtb", blob], ["map", "--qemu-cmdline", cmdline])
    assert [status for status, _ in results] == [2, 2, 2, 2, 2, 0]
    assert r"\x1b[5m\x7f" in results[4][1]


def test_options_and_arguments(folder: Path) -> None:
    results = check(
        folder,
        True,
        [EVIL],
        ["state", EVIL],
        ["map", f"--{EVIL}"],
        ["map", EVIL],
        ["map", "--cpus", EVIL],
        ["map", "--profile", EVIL],
        ["map", "--affinities", EVIL],
        ["map", "--gicd-base", EVIL],
        ["map", "--its", EVIL],
        ["map", "--redistributors", EVIL],
        ["map", "--redistributors", f"1:{EVIL}"],
        ["map", "--dtb", EVIL],
        ["decode", EVIL, "0"],
        ["decode", "GICD_CTLR", EVIL],
        ["replay", EVIL, "--cpus", "1"],
        ["replay", "x", "--host-a3v", EVIL],
        ["convert", recorded_guests.TRACES / "linux_smp1_icount" / "trace.core.log.gz", f"{EVIL}/{EVIL}"],
        ["its", EVIL],
        ["state", "show", EVIL],
        ["state", "diff", EVIL, EVIL],
        ["state", "check", EVIL, "--host-a3v"],
        ["state", "check", "--order", EVIL],
        ["affinity", "layouts", "--vcpus", EVIL],
        ["affinity", "layouts", "--layout", EVIL],
        ["affinity", "layouts", "--layout-file", EVIL],
        ["affinity", "fairness", "--loads", EVIL],
        ["affinity", "traps", EVIL],
        ["bench", EVIL, "--qemu-cmdline", EVIL],
        ["bench", EVIL, "--qemu-cmdline", EVIL, "--json", f"{EVIL}/{EVIL}"],
    )
    assert {status for status, _ in results} == {2}


def test_states_and_logs(folder: Path) -> None:
    one, other, log, affinities = (folder / f"{EVIL}{number}" for number in range(4))
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), its=(0x0808_0000,)))
    saved = gic.save()
    saved["registers"][f"{EVIL}.{EVIL}"] = 1
    vgic.State(saved).to_file(one)
    vgic.State(gic.save()).to_file(other)
    log.write_text(f"create_vcpu\n{EVIL}\n")
    affinities.write_text(f"0.0.0.0\n{EVIL}\n")
    results = check(
        folder,
        True,
        ["state", "show", one],
        ["state", "show", one, "--fields", f"{EVIL}.{EVIL}"],
        ["state", "show", one, "--fields", f"{EVIL}x"],
        ["state", "diff", one, other],
        ["state", "check", one, "--host-a3v"],
        ["state", "check", other, "--host-vtr", EVIL],
        ["state", "check", "--order", log],
        ["its", one],
        ["its", other, "--ram", EVIL],
        ["its", other, "--ram", f"{EVIL}@0"],
        ["affinity", "layouts", "--layout-file", affinities],
    )
    assert [status for status, _ in results] == [0, 0, 2, 1, 2, 2, 2, 2, 2, 2, 2]


def test_json_is_json_of_printable_characters(folder: Path) -> None:
    path = trace(folder, f"qemu: {EVIL}")
    [(status, text)] = on_terminal(folder, ["replay", path, "--cpus", "1", "--json"])
    document = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert status == 1
    assert document["trace"] == str(path)
    assert document["first_divergence"]["before"][0]["event"] == f"qemu: {EVIL}"
    output = CliRunner().invoke(main, ["replay", str(path), "--cpus", "1", "--json"]).stdout
    assert output.replace("\n", "").isascii()
    assert output.replace("\n", "").isprintable()


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.log"
    with open(path, "w") as file:
        file.write(dist("read", 0xFFE8, 0x3B) + "\n")
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "vgic_tools", "replay", path, "--cpus", "1"],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert rb"/\xff\xfe.log: 1 events" in done.stdout


# The seam

SEAM = {"terminal.py", "console.py", "drawing.py", "progress.py", "cli.py"}
AROUND_IT = re.compile(
    r"^from rich\.markup|^import rich|\bConsole\(|(?<!case )\bText\(|\bclick\.(echo\(.|secho)|(?<![.\w])print\(f|"
    r"sys\.std(out|err)\.write|\bescape\("
)


HTML = (TOOLS / "affinity" / "report.py", TOOLS / "rules" / "pages.py", TOOLS / "hosts" / "fleet_page.py")


def test_nothing_is_printed_around_the_seam() -> None:
    """One place decides what reaches a terminal; `interpreted.py` talks to a process, three others write HTML."""
    files = [path for path in TOOLS.rglob("*.py") if path.name not in SEAM]
    assert len(files) > 50
    found = [
        f"{path.relative_to(TOOLS)}: {line}"
        for path in files
        if path not in HTML
        for line in path.read_text().splitlines()
        if AROUND_IT.search(line.strip()) and line.strip() != "click.echo()"
    ]
    assert found == []
