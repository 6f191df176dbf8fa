"""State files: people can read them, and what is not exactly what was written is refused."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

import vgic
from mmio import replacing
from vgic.state import file as state_file

CONFIG = vgic.Config(vgic.Topology([0x0102_0304]), spis=32, priority_bits=6)


def state(config: vgic.Config = CONFIG, pmr: int = 0xF0) -> vgic.State:
    gic = vgic.Gic(config)
    gic.sysreg_write(0, vgic.ICC_PMR_EL1, pmr)
    gic.spi(42).set_level(True)
    return vgic.State.of(gic)


def signed(body: str, version: int = state_file.VERSION) -> bytes:
    """A file with this body and the right checksum."""
    checksum = hashlib.sha256(f"vgic-state {version}\n{body}".encode()).hexdigest()
    return f'{{"format": "vgic-state", "version": {version}, "sha256": "{checksum}",\n{body}'.encode()


def body_of(document: object) -> str:
    return json.dumps(document)[1:]


# Reading and writing.


@pytest.mark.rule("SAVE-9")
def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vm.state"
    state().to_file(path)
    assert vgic.State.from_file(path) == state()
    assert vgic.State.from_file(str(path)).build().save() == state().data


@pytest.mark.rule("SAVE-9")
def test_people_can_read_it() -> None:
    lines = state().to_bytes().decode("ascii").splitlines()
    assert lines[0].startswith('{"format": "vgic-state", "version": 2, "sha256": "')
    assert ' "registers": {' in lines
    assert '  "ICC[0].ICC_PMR_EL1": "0xf0",' in lines
    assert '  "GICD.line_level1": "0x400",' in lines
    assert '   "1.2.3.4"' in lines
    assert '  "gicd_base": "0x8000000",' in lines


@pytest.mark.rule("SAVE-9")
def test_other_programs_can_read_it() -> None:
    document = json.loads(state().to_bytes())
    assert document.keys() == {"format", "version", "sha256", "vm", "registers"}
    assert document["registers"]["vCPU[0].MPIDR_EL1"] == "0x180020304"


@pytest.mark.rule("SAVE-9")
def test_equal_states_give_equal_files() -> None:
    assert state().to_bytes() == state().to_bytes()
    assert state().build().save() == state().data


@pytest.mark.rule("SAVE-10")
def test_a_vm_is_built_from_its_state_alone() -> None:
    regions = (vgic.RedistributorRegion(0x1000_0000, 1), vgic.RedistributorRegion(0x2000_0000, 9))
    topology = vgic.Topology([0, 0x0102_0304], aarch32=[0])
    config = vgic.Config(topology, 96, vgic.QEMU, 7, 0x4000_0000, regions, one_of_n_choice="rotate")
    read = vgic.State.from_bytes(state(config).to_bytes())
    assert vgic.Gic(read.config()).save()["vm"] == state(config).data["vm"]
    assert read.build().save() == state(config).data
    assert read.config().profile is vgic.QEMU


@pytest.mark.rule("SAVE-10")
def test_a_profile_of_ones_own_is_given_again() -> None:
    own = replace(vgic.QEMU, name="own", absent=frozenset())
    saved = state(replace(CONFIG, profile=own))
    with pytest.raises(vgic.ConfigError, match="'own'"):
        saved.config()
    with pytest.raises(vgic.StateError, match="the profile of the VM is 'own', not 'kvm'"):
        saved.build(profile=vgic.KVM)
    assert saved.build(profile=own).save() == saved.data


# Damage.


@pytest.mark.rule("SAVE-11")
def test_every_flipped_bit_is_found() -> None:
    good = state().to_bytes()
    data = bytearray(good)
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            with pytest.raises(vgic.StateError):
                vgic.State.from_bytes(bytes(data))
            data[place] ^= 1 << bit
    assert vgic.State.from_bytes(bytes(data)) == state()


@pytest.mark.rule("SAVE-11")
def test_every_truncation_is_found() -> None:
    good = state().to_bytes()
    for length in range(len(good)):
        with pytest.raises(vgic.StateError):
            vgic.State.from_bytes(good[:length])


@pytest.mark.rule("SAVE-11")
@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good + b"\n",
        lambda good: good + good,
        lambda good: good.replace(b"\n", b"\r\n"),
        lambda good: good.replace(b'{"format"', b'{ "format"'),
        lambda good: good.replace(b"  ", b"\t"),
        lambda good: good.replace(b'"registers"', b'"\\u0072egisters"'),
        lambda good: good.replace(b'"version": 2', b'"version": 02'),
        lambda good: good[: good.index(b"sha256") + 10] + good[good.index(b"sha256") + 10 :].upper(),
        lambda good: json.dumps(json.loads(good)).encode(),
        lambda good: b"\xef\xbb\xbf" + good,
        lambda good: good.decode().encode("utf-16"),
    ],
)
def test_damage_that_does_not_change_the_meaning_is_found(damage: Callable[[bytes], bytes]) -> None:
    damaged = damage(state().to_bytes())
    assert damaged != state().to_bytes()
    with pytest.raises(vgic.StateError):
        vgic.State.from_bytes(damaged)


@pytest.mark.rule("SAVE-11")
def test_the_file_is_named_and_the_reason_said(tmp_path: Path) -> None:
    path = tmp_path / "vm.state"
    good = state().to_bytes()
    for data, reason in (
        (b"", "the first line"),
        (b"\x1f\x8b packed", "the first line"),
        (good[:-1], "damaged"),
        (
            good.replace(b'"version": 2', b'"version": 7'),
            "version 7 of the format is not known; the latest known is 2",
        ),
        (good.replace(b'"version": 2', b'"version": 1'), "damaged"),
    ):
        path.write_bytes(data)
        with pytest.raises(vgic.StateError, match=f"^{path}: .*{reason}"):
            vgic.State.from_file(path)
    with pytest.raises(FileNotFoundError):
        vgic.State.from_file(tmp_path / "none.state")


DOCUMENT = json.loads(state().to_bytes())
VM, REGISTERS = DOCUMENT["vm"], DOCUMENT["registers"]
REGION = {"base": "0x1000", "count": 1}


@pytest.mark.rule("SAVE-11")
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "is missing"),
        ({"vm": VM}, "registers is missing"),
        ({"vm": VM, "registers": {}, "host": 1}, "host means nothing"),
        ({"vm": [], "registers": {}}, "which is no dict"),
        ({"vm": VM, "registers": []}, "which is no dict"),
        ({"vm": {**VM, "a3v": 1}, "registers": {}}, "a3v is 1, which is no bool"),
        ({"vm": {**VM, "spis": True}, "registers": {}}, "spis is True, which is no int"),
        ({"vm": {**VM, "spis": 32.0}, "registers": {}}, "spis is 32.0, which is no int"),
        ({"vm": {**VM, "affinities": [1]}, "registers": {}}, "affinities is 1, which is no str"),
        ({"vm": {**VM, "affinities": "0.0.0.0"}, "registers": {}}, "which is no list"),
        ({"vm": {**VM, "one_of_n_choice": "last"}, "registers": {}}, "one_of_n_choice is 'last'"),
        ({"vm": {**VM, "gicd_base": 4096}, "registers": {}}, "gicd_base is 4096"),
        (
            {"vm": {**VM, "redistributor_regions": [{}]}, "registers": {}},
            "redistributor_regions.base is missing|count",
        ),
        ({"vm": {**VM, "redistributor_regions": [{**REGION, "x": 1}]}, "registers": {}}, "x means nothing"),
        ({"vm": {**VM, "more": 1}, "registers": {}}, "vm.more means nothing"),
        ({"vm": VM, "registers": {"GICD_CTLR": 1}}, "GICD_CTLR is 1"),
        ({"vm": VM, "registers": {"GICD_CTLR": "1"}}, "GICD_CTLR is '1', which is no hexadecimal number"),
        ({"vm": VM, "registers": {"GICD_CTLR": "0x_1"}}, "which is no hexadecimal number"),
        ({"vm": VM, "registers": {"GICD_CTLR": "-0x1"}}, "which is no hexadecimal number"),
        ({"vm": VM, "registers": {"GICD_CTLR": "0x" + "1" * 40}}, "which is no hexadecimal number"),
    ],
)
def test_contents_that_make_no_sense_are_refused_even_with_a_right_checksum(document: object, reason: str) -> None:
    with pytest.raises(vgic.StateError, match=reason):
        vgic.State.from_bytes(signed(body_of(document)))


@pytest.mark.rule("SAVE-11")
@pytest.mark.parametrize(
    "body",
    [
        "",
        "}",
        '"vm": {}',
        '"vm": {}, "vm": {}}',
        "\xff}",
        '"vm": NaN}',
        '"vm": ' + "[" * 100_000,
        '"vm": ' + "9" * 5_000 + "}",
    ],
)
def test_contents_that_are_no_json_are_refused_even_with_a_right_checksum(body: str) -> None:
    with pytest.raises(vgic.StateError):
        vgic.State.from_bytes(signed(body))


@pytest.mark.rule("SAVE-10")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"spis": 33}, vgic.ConfigError),
        ({"profile": "xen"}, vgic.ConfigError),
        ({"affinities": ["1.2.3"]}, vgic.AffinityError),
        ({"affinities": ["0.0.0.0", "0.0.0.0"]}, vgic.AffinityError),
        ({"a3v": False}, vgic.AffinityError),
    ],
)
def test_a_vm_that_cannot_be_is_not_built(change: dict[str, object], error: type[vgic.VgicError]) -> None:
    read = vgic.State.from_bytes(signed(body_of({"vm": {**VM, **change}, "registers": REGISTERS})))
    with pytest.raises(error):
        read.build()


# Versions.


@pytest.mark.rule("SAVE-12")
def test_older_versions_are_upgraded_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two made-up versions: the second called PMR something else, the third says in which order PEs are chosen."""
    old = dict(VM)
    del old["one_of_n_choice"]
    registers = {name.replace("ICC_PMR_EL1", "ICC_PMR"): value for name, value in REGISTERS.items()}
    first = signed(body_of({"vm": old, "registers": registers}), version=1)

    def to_second(document: dict[str, object]) -> dict[str, object]:
        registers = document["registers"]
        assert isinstance(registers, dict)
        renamed = {name.replace("ICC_PMR", "ICC_PMR_EL1"): value for name, value in registers.items()}
        return {**document, "registers": renamed}

    def to_third(document: dict[str, object]) -> dict[str, object]:
        vm = document["vm"]
        assert isinstance(vm, dict)
        return {**document, "vm": {**vm, "one_of_n_choice": "first"}}

    with pytest.raises(vgic.StateError, match="one_of_n_choice is missing"):
        vgic.State.from_bytes(first)
    monkeypatch.setattr(state_file, "VERSION", 3)
    monkeypatch.setattr(state_file, "UPGRADES", {1: to_second, 2: to_third})
    assert vgic.State.from_bytes(first) == state()
    second = signed(body_of({"vm": old, "registers": REGISTERS}), version=2)
    assert vgic.State.from_bytes(second) == state()
    third = state().to_bytes()
    assert b'"version": 3' in third
    assert vgic.State.from_bytes(third) == state()


@pytest.mark.rule("SAVE-12")
@pytest.mark.parametrize(("profile", "lpis"), [(vgic.ARCH, False), (vgic.KVM, False), (vgic.QEMU, True)])
def test_a_file_from_before_there_were_lpis_loads(profile: vgic.Profile, lpis: bool) -> None:
    now = state(vgic.Config(vgic.Topology([0]), spis=32, profile=profile), pmr=0xF0)
    document = json.loads(now.to_bytes())
    then = {key: document["vm"][key] for key in document["vm"].keys() - {"lpis", "lpi_id_bits", "its"}}
    first = vgic.State.from_bytes(signed(body_of({"vm": then, "registers": document["registers"]}), version=1))
    assert first == now
    assert first.config().features.lpis == lpis
    with pytest.raises(vgic.StateError, match="vm"):
        vgic.State.from_bytes(signed(body_of({"registers": {}}), version=1))


@pytest.mark.rule("SAVE-12")
def test_versions_without_a_way_to_the_latest_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = body_of({"vm": VM, "registers": REGISTERS})
    for version in (0, 3, 10, 999_999_999):
        with pytest.raises(vgic.StateError, match=f"version {version} of the format is not known"):
            vgic.State.from_bytes(signed(body, version))
    monkeypatch.setattr(state_file, "VERSION", 3)
    monkeypatch.setattr(state_file, "UPGRADES", {2: lambda document: document})
    with pytest.raises(vgic.StateError, match="version 1 of the format is not known"):
        vgic.State.from_bytes(signed(body, 1))


@pytest.mark.rule("SAVE-12")
def test_the_upgrades_lead_from_the_first_version_to_the_latest() -> None:
    assert list(state_file.UPGRADES) == list(range(1, state_file.VERSION))


# Interruption.


class Broken:
    """A file whose disk is full after some bytes."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self.file = file
        self.room = room

    def write(self, data: bytes) -> int:
        self.file.write(data[: self.room])
        raise OSError(errno.ENOSPC, "no space left")

    def __enter__(self) -> "Broken":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def fails(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "input/output error")


@pytest.mark.rule("SAVE-13")
@pytest.mark.parametrize("step", ["open", "write nothing", "write half", "fsync", "replace", "interrupt"])
@pytest.mark.parametrize("older", [True, False])
def test_a_save_that_fails_leaves_the_old_file(
    step: str, older: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vm.state"
    if older:
        state().to_file(path)
    before = path.read_bytes() if older else None

    def opens(name: Path, mode: str) -> Broken:
        return Broken(open(name, mode), 0 if step == "write nothing" else 200)  # type: ignore[arg-type]

    expected: type[BaseException] = OSError
    match step:
        case "open":
            monkeypatch.setattr(replacing, "open", fails, raising=False)
        case "write nothing" | "write half":
            monkeypatch.setattr(replacing, "open", opens, raising=False)
        case "interrupt":
            expected = KeyboardInterrupt
            monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(KeyboardInterrupt))
        case _:
            monkeypatch.setattr(os, step, fails)
    with pytest.raises(expected):
        state(pmr=0x40).to_file(path)
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == (["vm.state"] if older else [])
    if older:
        assert path.read_bytes() == before
    state(pmr=0x40).to_file(path)
    assert vgic.State.from_file(path) == state(pmr=0x40)


KILLED = """
import os, signal, sys
import vgic
from vgic import State
gic = vgic.Gic(State.from_file(sys.argv[1]).config())
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "after":
    really = os.replace
    os.replace = lambda *names: (really(*names), kill())
else:
    setattr(os, sys.argv[2], kill)
State.of(gic).to_file(sys.argv[1])
"""


@pytest.mark.rule("SAVE-13")
@pytest.mark.parametrize("step", ["fsync", "replace", "after"])
def test_a_killed_save_leaves_the_old_file_or_the_new_one(step: str, tmp_path: Path) -> None:
    path = tmp_path / "vm.state"
    state().to_file(path)
    process = subprocess.run([sys.executable, "-c", KILLED, str(path), step], check=False, env=_environment())
    assert process.returncode == -9
    expected = vgic.State.of(vgic.Gic(CONFIG)) if step == "after" else state()
    assert vgic.State.from_file(path) == expected


def _environment() -> dict[str, str]:
    """The child finds the same packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.rule("SAVE-13")
def test_the_bytes_reach_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.replace

    def flushes(descriptor: int) -> None:
        steps.append(f"flush {os.fstat(descriptor).st_size} bytes")
        fsync(descriptor)

    def renames(source: Path, target: Path) -> None:
        steps.append(f"rename to {target.name}")
        assert source.parent == target.parent
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flushes)
    monkeypatch.setattr(os, "replace", renames)
    state().to_file(tmp_path / "vm.state")
    assert steps == [f"flush {len(state().to_bytes())} bytes", "rename to vm.state"]
