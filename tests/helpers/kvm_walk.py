"""Every offset of GICD, GICR and GITS by HAS_ATTR and GET_ATTR: what there is, and what it reads after CTRL_INIT.

What Linux 6.1, 6.12 and 7.2 answered, alike, is in tests/vgic/kvm/walk.json: spans of offsets where HAS_ATTR is
0, where GET_ATTR reads the same value other than 0, and where it is refused. Run as a program, this records it.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from kvm_life import Life
from kvm_subjects import GIC, Subject
from vgic.kvm import Group

__all__ = ["INHABITED", "SHAPES", "recorded", "walk"]

RECORDED: Final = Path(__file__).parent.parent / "vgic" / "kvm" / "walk.json"

SHAPES: Final[dict[str, tuple[int, int, int]]] = {
    "one vCPU": (1, 0, 256),
    "two vCPUs, an ITS, 64 INTIDs": (2, 1, 64),
}
"""vCPUs, ITSes, NR_IRQS."""

_FRAMES: Final = {
    "GICD": (GIC, Group.DIST_REGS, 0x1_0000),
    "GICR": (GIC, Group.REDIST_REGS, 0x2_0000),
    "GITS": (0, Group.ITS_REGS, 0x1_0000),
}

Where = Callable[[int], bool]
Spans = dict[str, list[list[int]]]
Walk = dict[str, Spans]


def INHABITED(offset: int) -> bool:  # noqa: N802 - used as a constant
    """Where frames have registers, and what lies around them."""
    place = offset & 0xFFFF
    return place < 0x1000 or 0x6000 <= place < 0x6400 or 0x6700 <= place < 0x6900 or place >= 0xFF00


def walk(subject: Subject, shape: str, where: Where = lambda offset: True) -> Walk:
    """What a subject, which is new, answers: by frame and by kind of call, spans of offsets."""
    vcpus, itses, intids = SHAPES[shape]
    life = Life(subject)
    life.set(Group.NR_IRQS, 0, intids)
    life.ready(vcpus, itses)
    assert all(told == "0x0" for _, told in life.log)
    return {
        name: _frame(subject, its, group, range(0, size, 4), where)
        for name, (its, group, size) in _FRAMES.items()
        if itses or its is GIC
    }


def _frame(subject: Subject, its: int | None, group: int, offsets: Iterable[int], where: Where) -> Spans:
    asked = [offset for offset in offsets if where(offset)]
    there = subject.ask(("has", its, group, offset, 0) for offset in asked)
    values = subject.ask(("get", its, group, offset, 0) for offset in asked)
    return {
        "has": _spans((offset, 0) for offset, told in zip(asked, there, strict=True) if not told.errno),
        "get": _spans((offset, told.value) for offset, told in zip(asked, values, strict=True) if told.value),
        "refused": _spans((offset, told.errno) for offset, told in zip(asked, values, strict=True) if told.errno),
    }


def _spans(found: Iterable[tuple[int, int]]) -> list[list[int]]:
    """[first offset, last offset, value]: every other word of a span has this value."""
    spans: list[list[int]] = []
    open_spans: dict[int, list[int]] = {}
    for offset, value in found:
        span = open_spans.get(offset & 4)
        if span is not None and span[1] == offset - 8 and span[2] == value:
            span[1] = offset
        else:
            span = open_spans[offset & 4] = [offset, offset, value]
            spans.append(span)
    return spans


def recorded(shape: str, where: Where = lambda offset: True) -> Walk:
    """What KVM answered."""
    frames: Walk = json.loads(RECORDED.read_text())[shape]
    return {
        name: {
            kind: _spans(
                sorted(
                    (offset, value)
                    for first, last, value in spans
                    for offset in range(first, last + 1, 8)
                    if where(offset)
                )
            )
            for kind, spans in kinds.items()
        }
        for name, kinds in frames.items()
    }


def _record() -> None:
    from kvm_subjects import Live
    from vgic_tools.judges.kernels import fetch_kernel
    from vgic_tools.judges.kvm_host import KvmHost

    with KvmHost(fetch_kernel("6.12")) as host:
        walks = {shape: walk(Live(host), shape) for shape in SHAPES}
    lines = (
        f'"{shape}": {{\n'
        + ",\n".join(f'  "{name}": {json.dumps(kinds)}' for name, kinds in frames.items())
        + "\n}"
        for shape, frames in walks.items()
    )
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    _record()
