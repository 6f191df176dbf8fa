"""Checking a VMM's log of KVM calls: which would be refused, lose what they write, or come too late.

The log is text, a call a line; blank lines and what follows a "#" are ignored. Numbers are decimal, or hexadecimal
with 0x:

    create_vcpu [MPIDR]         KVM_CREATE_VCPU; MPIDR_EL1 as KVM gives it, unless said otherwise
    mpidr VCPU MPIDR            KVM_SET_ONE_REG of MPIDR_EL1; vCPUs are numbered as they are created
    set GROUP ATTR [VALUE]      KVM_SET_DEVICE_ATTR; GROUP is a number or its name in the ABI, such as DIST_REGS
    create_its                  KVM_CREATE_DEVICE of an ITS; ITSes are numbered as they are created
    set_its ITS GROUP ATTR [VALUE]      KVM_SET_DEVICE_ATTR of an ITS
    run VCPU                    the vCPU enters the guest...
    stop VCPU                   ...and leaves it

For example:

    create_vcpu
    set ADDR 2 0x08000000                      # the distributor
    set CTRL 0                                 # CTRL_INIT
    set DIST_REGS 0x8 0x4b00343b               # GICD_IIDR
    set REDIST_REGS 0x0000000000010100 0x1     # GICR_ISENABLER0 of vCPU 0.0.0.0
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Literal, NamedTuple, TypeAlias

import vgic
from vgic.kvm import (
    BlankRam,
    CreateIts,
    CreateVcpu,
    Finding,
    Group,
    KvmError,
    OrderCheck,
    SetAttr,
    SetItsAttr,
    SetMpidr,
    Step,
    Verdict,
    VgicV3Device,
)
from vgic_tools.errors import UsageError

__all__ = ["Move", "check_log", "format_step", "read_log"]


class Move(NamedTuple):
    """A vCPU enters or leaves the guest."""

    verb: Literal["run", "stop"]
    cpu: int


Line: TypeAlias = Step | Move

_FORMS: Final = {
    "create_vcpu": "create_vcpu [MPIDR [ID]]",
    "mpidr": "mpidr VCPU MPIDR",
    "set": "set GROUP ATTR [VALUE]",
    "create_its": "create_its",
    "set_its": "set_its ITS GROUP ATTR [VALUE]",
    "run": "run VCPU",
    "stop": "stop VCPU",
}
_GROUPS: Final = {group.name: group.value for group in Group}


def read_log(lines: Iterable[str], path: str = "log") -> Iterator[tuple[int, Line]]:
    """The calls of a log, each with its line number, from 1 on.

    Raises UsageError naming `path` and line for a line that is none.
    """
    for number, text in enumerate(lines, 1):
        words = text.partition("#")[0].split()
        if words:
            try:
                yield number, _call(words)
            except ValueError as error:
                raise UsageError(f"{path}:{number}: {error}") from error


def _call(words: list[str]) -> Line:
    verb, *rest = words
    match verb, len(rest):
        case "create_vcpu", 0 | 1 | 2:
            return CreateVcpu(*(_number(word) for word in rest))
        case "mpidr", 2:
            return SetMpidr(_number(rest[0]), _number(rest[1]))
        case "set", 2 | 3:
            return SetAttr(_group(rest[0]), *(_number(word) for word in rest[1:]))
        case "create_its", 0:
            return CreateIts()
        case "set_its", 3 | 4:
            return SetItsAttr(_number(rest[0]), _group(rest[1]), *(_number(word) for word in rest[2:]))
        case "run", 1:
            return Move("run", _number(rest[0]))
        case "stop", 1:
            return Move("stop", _number(rest[0]))
    if verb in _FORMS:
        raise ValueError(f"{' '.join(words)!r}; it is written {_FORMS[verb]!r}")
    raise ValueError(f"{verb!r} is no call; there are {', '.join(_FORMS)}")


def _group(word: str) -> int:
    return _GROUPS[word] if word in _GROUPS else _number(word)


def _number(word: str) -> int:
    try:
        value = int(word, 0)
    except ValueError:
        raise ValueError(f"{word!r} is no number") from None
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{word} does not fit in 64 bits")
    return value


def format_step(step: Step) -> str:
    """The line of a log that stands for a step.

    >>> format_step(SetAttr(Group.DIST_REGS, 0x8, 0x4B00343B))
    'set DIST_REGS 0x8 0x4b00343b'
    """
    match step:
        case CreateVcpu(None, None):
            return "create_vcpu"
        case CreateVcpu(mpidr, None):
            return f"create_vcpu {mpidr:#x}"
        case CreateVcpu(mpidr, vcpu_id):
            return f"create_vcpu {mpidr:#x} {vcpu_id}"
        case SetMpidr(cpu, mpidr):
            return f"mpidr {cpu} {mpidr:#x}"
        case SetAttr(group, attr, value):
            return f"set {_group_name(group)} {attr:#x} {value:#x}"
        case CreateIts():
            return "create_its"
        case SetItsAttr(its, group, attr, value):
            return f"set_its {its} {_group_name(group)} {attr:#x} {value:#x}"


def _group_name(group: int) -> str:
    return next((name for name, number in _GROUPS.items() if number == group), str(group))


def check_log(lines: Iterable[str], path: str = "log", device: VgicV3Device | None = None) -> list[Finding]:
    """What is wrong with the calls of a log under KVM's rules, line by line, then what they leave out.

    `device` is a new one on the host and with the VM meant; None: KVM's own VM on a host without A3V, with the RAM
    of a guest that has mapped nothing. Raises UsageError as `read_log` does.
    """
    device = VgicV3Device(memory=BlankRam()) if device is None else device
    check = OrderCheck(device)
    inside: dict[int, AbstractContextManager[vgic.Gic]] = {}
    findings: list[Finding] = []
    last = 0
    for last, call in read_log(lines, path):
        if isinstance(call, Move):
            findings += _move(last, call, device, inside)
        else:
            findings += check.feed(last, call)
    return findings + check.finish(last)


def _move(
    line: int, move: Move, device: VgicV3Device, inside: dict[int, AbstractContextManager[vgic.Gic]]
) -> list[Finding]:
    if move.verb == "stop":
        if move.cpu not in inside:
            return [Finding(line, Verdict.ORDER, f"vCPU {move.cpu} is not running")]
        inside.pop(move.cpu).__exit__(None, None, None)
        return []
    if move.cpu in inside:
        return [Finding(line, Verdict.ORDER, f"vCPU {move.cpu} is running already")]
    try:
        context = device.run(move.cpu)
    except KvmError as error:
        return [Finding(line, Verdict.REFUSED, str(error))]
    context.__enter__()
    inside[move.cpu] = context
    return []
