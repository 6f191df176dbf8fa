"""What the records of a damaged packed trace say, the replay refuses; it never fails in another way."""

from pathlib import Path
from random import Random

import pytest

import recorded_guests
from mmio.trace import PackedWriter, TraceError, open_trace
from qemu_log import NAME, awake, dist, icc, reset, virt
from vgic_tools.replay import ReplayError, replay

HEADER = 64
RECORD = 24

LINES = [
    *awake(),
    icc("read", "PMR", 0, 0xF8),
    reset("0xb"),
    "gicv3_its_cmd_vsync GICv3 ITS: command VSYNC vPEID 0x0",
]
SYSREG, RESET, OTHER = range(len(LINES) - 3, len(LINES))


def packed(folder: Path, lines: list[str]) -> Path:
    text, path = folder / "trace.log", folder / "trace.vgpk"
    text.write_text("\n".join(lines) + "\n")
    with PackedWriter(path) as writer:
        for event in open_trace(text):
            writer.write(event)
    return path


def patch(path: Path, place: int, data: bytes) -> None:
    contents = bytearray(path.read_bytes())
    contents[place : place + len(data)] = data
    path.write_bytes(contents)


@pytest.mark.parametrize(
    ("record", "byte", "data", "message"),
    [
        (SYSREG, 0, b"\x00", f"record {SYSREG} is of unknown kind 0"),
        (SYSREG, 0, b"\x0f", f"record {SYSREG} is of unknown kind 15"),
        (SYSREG, 2, b"\x00\x01", f"record {SYSREG} refers to PE 256, and the tables have 1"),
        (SYSREG, 16, b"\x09", f"record {SYSREG} refers to register 9, and the tables have 2"),
        (RESET, 16, b"\x01", f"record {RESET} refers to token 1, and the tables have 1"),
        (OTHER, 16, b"\x00\x00\x00\x80", f"record {OTHER} refers to name 2147483648, and the tables have 1"),
        (OTHER, 0, b"\x0b", f"record {OTHER} refers to written event 0, and the tables have 0"),
    ],
)
def test_references_to_nothing(record: int, byte: int, data: bytes, message: str, tmp_path: Path) -> None:
    path = packed(tmp_path, LINES)
    patch(path, HEADER + RECORD * record + byte, data)
    with pytest.raises(TraceError) as error:
        replay(open_trace(path), str(path), virt(1))
    assert str(error.value) == f"{path}: {message}"


def test_an_event_that_no_record_can_hold_is_of_no_machine(tmp_path: Path) -> None:
    path = packed(tmp_path, [*awake(), dist("read", 1 << 32, 0)])
    with pytest.raises(ReplayError) as error:
        replay(open_trace(path), str(path), virt(1))
    place = len(awake()) + 1
    assert str(error.value) == f"{path}:{place}: no machine does this: read GICD+0x100000000, 4 bytes: 0x0"


def test_any_damage_is_a_divergence_or_an_error(tmp_path: Path) -> None:
    random = Random(NAME)
    count = 400
    path = packed(tmp_path, recorded_guests.lines("fuzz_ds1_smp4", "core")[:count])
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(40):
        for _ in range(3):
            place = HEADER + random.randrange(RECORD * count)
            patch(path, place, bytes([whole[place] ^ 1 << random.randrange(8)]))
        try:
            result = replay(open_trace(path), "trace", recorded_guests.machine("fuzz_ds1_smp4"))
            outcomes.add("diverged" if result.diverged else "passed")
        except (TraceError, ReplayError) as error:
            outcomes.add(type(error).__name__)
        path.write_bytes(whole)
    assert outcomes >= {"diverged", "TraceError"}
