"""What a host makes of a guest's accesses: KVM's stage 2, its cache maintenance, DMA, and two hosts compared.

A guest finds the type of its memory nowhere, but it can feel it: while its MMU is off its accesses are Device on
one host and Normal on another, by FEAT_S2FWB (ID_AA64MMFR2_EL1.FWB). Rules IDENT-66 to IDENT-69.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.hardware import field_of
from vgic.identity.host import Cpu
from vgic.identity.memory_types import Access, Attributes, Cacheability, Hcr, Shareability, resolved

__all__ = [
    "Agent",
    "Event",
    "Maintenance",
    "Stage2",
    "Visibility",
    "boot_loader",
    "cacheability_findings",
    "kvm_memattr",
    "maintenance",
    "under_kvm",
    "visibility",
]


class Stage2(Enum):
    """What KVM maps at stage 2."""

    NORMAL = "RAM"
    NON_CACHEABLE = "memory of a device that the guest may map as it likes"
    DEVICE = "registers of a device"
    AS_STAGE_1 = "memory that stays as stage 1 has it"


_MEMATTR: Final = {
    Stage2.NORMAL: (0b1111, 0b110),
    Stage2.NON_CACHEABLE: (0b0101, 0b101),
    Stage2.DEVICE: (0b0001, 0b001),
    Stage2.AS_STAGE_1: (0b1111, 0b111),
}
"""MemAttr without and with FEAT_S2FWB."""


def kvm_memattr(mapping: Stage2, *, fwb: bool) -> int:
    """MemAttr of a stage 2 descriptor of KVM's. Rule IDENT-66.

    >>> [bin(kvm_memattr(Stage2.NORMAL, fwb=fwb)) for fwb in (False, True)]
    ['0b1111', '0b110']
    """
    return _MEMATTR[mapping][fwb]


def under_kvm(
    mapped: Attributes | None,
    access: Access,
    sctlr: int,
    *,
    fwb: bool,
    mapping: Stage2 = Stage2.NORMAL,
    hcr: int = 0,
) -> Attributes:
    """The type that a guest's access has on a KVM host, with or without FEAT_S2FWB.

    `mapped` and `sctlr` as for `vgic.identity.memory_types.stage1`; `hcr` are bits beside those that KVM sets.
    Raises ConfigError as that does.

    >>> from vgic.identity.memory_types import Sctlr
    >>> [under_kvm(None, Access.DATA, Sctlr(0), fwb=fwb).kind for fwb in (False, True)]
    ['Device-nGnRnE', 'Normal WB']
    """
    controls = hcr | Hcr.VM | (Hcr.FWB if fwb else 0)
    found = resolved(mapped, kvm_memattr(mapping, fwb=fwb), Shareability.INNER, access, sctlr, controls)
    assert found is not None, "KVM uses no reserved MemAttr"
    return found


class Event(Enum):
    """What KVM does something for, lest a guest that bypasses the caches sees something else than they hold."""

    MAPPED = "a cacheable page is mapped at stage 2"
    MAPPED_EXECUTABLE = "a cacheable page is mapped that can be executed"
    UNMAPPED = "a cacheable page is unmapped"
    SWITCHED = "the guest sets SCTLR_EL1.M and C, or clears one of them"
    SET_WAY = "the guest maintains a cache by set and way"
    RESET = "a vCPU is reset"


class Maintenance(Enum):
    """What KVM does."""

    CLEAN_PAGE = "the page is cleaned and invalidated to the point of coherency"
    CLEAN_ALL = "all memory of the VM is cleaned and invalidated to the point of coherency"
    UNMAP_ALL = "stage 2 is unmapped, so that pages are cleaned as they are mapped again"
    INVALIDATE_INSTRUCTIONS = "instruction caches are invalidated"
    TRAP = "HCR_EL2.TVM is set, to see SCTLR_EL1 change"


_WITHOUT_FWB: Final = {
    Event.MAPPED: (Maintenance.CLEAN_PAGE,),
    Event.MAPPED_EXECUTABLE: (Maintenance.CLEAN_PAGE, Maintenance.INVALIDATE_INSTRUCTIONS),
    Event.UNMAPPED: (Maintenance.CLEAN_PAGE,),
    Event.SWITCHED: (Maintenance.CLEAN_ALL,),
    Event.SET_WAY: (Maintenance.CLEAN_ALL, Maintenance.TRAP),
    Event.RESET: (Maintenance.UNMAP_ALL, Maintenance.TRAP),
}
_WITH_FWB: Final = {
    Event.MAPPED_EXECUTABLE: (Maintenance.INVALIDATE_INSTRUCTIONS,),
    Event.RESET: (Maintenance.INVALIDATE_INSTRUCTIONS,),
}


def maintenance(event: Event, *, fwb: bool, dic: bool) -> tuple[Maintenance, ...]:
    """What KVM does for an event, with or without FEAT_S2FWB and CTR_EL0.DIC. Rule IDENT-66."""
    done = (_WITH_FWB if fwb else _WITHOUT_FWB).get(event, ())
    return tuple(one for one in done if not (dic and one is Maintenance.INVALIDATE_INSTRUCTIONS))


class Agent(Enum):
    """What shares memory with a guest's CPUs."""

    NON_COHERENT = "a device that bypasses caches"
    COHERENT = "a device that looks into caches and keeps nothing in them"
    EMULATED = "a device that a CPU of the host emulates, through its caches"


class Visibility(NamedTuple):
    """Who sees what the other has written, neither of them maintaining a cache."""

    to_device: bool
    to_cpu: bool


def visibility(attributes: Attributes, agent: Agent) -> Visibility:
    """What a guest's CPU and a device see of each other, accesses of the CPU having this type. Rule IDENT-68."""
    if agent is Agent.COHERENT:
        return Visibility(to_device=True, to_cpu=True)
    if agent is Agent.EMULATED:
        return Visibility(attributes.cacheable, attributes.cacheable)
    held_back = Cacheability.WB in (attributes.inner, attributes.outer)
    return Visibility(to_device=not held_back, to_cpu=not attributes.cacheable)


def boot_loader(agent: Agent, *, fwb: bool, dc: bool) -> Visibility:
    """What a boot loader, its MMU off, and a device see of each other on a KVM host; `dc`: HCR_EL2.DC is set."""
    return visibility(under_kvm(None, Access.DATA, 0, fwb=fwb, hcr=Hcr.DC if dc else 0), agent)


_MMFR2: Final = "ID_AA64MMFR2_EL1"
_CLIDR: Final = "CLIDR_EL1"
_MEMORY: Final = "memory with the MMU off"
_DMA: Final = "DMA"


def _fwb(cpu: Cpu) -> int | None:
    return field_of(cpu, _MMFR2, "FWB")


def cacheability_findings(promised: Cpu, host: Cpu, *, coherent_dma: bool | None = None) -> Iterator[Finding]:
    """What a VM meets whose memory has been typed as `promised` tells, where a host types it. Rule IDENT-67.

    Of `promised` and `host` ID_AA64MMFR2_EL1 is looked at, where KVM shows its host's FWB. `coherent_dma` is False
    for a VM with a device that bypasses caches; None where nobody has told.
    """
    yield from _contradiction(host)
    had, has = _fwb(promised), _fwb(host)
    if had is None or has is None:
        sides = (("of what the guest was shown", had), ("of the host", has))
        whose = " and ".join(name for name, value in sides if value is None)
        why = f"FWB decides whether accesses with the MMU off are Device or Normal, and is unknown {whose}"
        remedy = f"tell {_MMFR2} {whose}"
        yield Finding(_MMFR2, "FWB", had, has, Outcome.UNKNOWN, "IDENT-67", why, remedy=remedy)
        return
    if bool(had) == bool(has):
        why = "accesses have the types here that the guest has met so far"
        yield Finding("", _MEMORY, had, has, Outcome.SAME, "IDENT-67", why)
    elif has:
        yield from _to_fwb(had, has, coherent_dma)
    else:
        yield from _from_fwb(had, has)


def _kind(fwb: bool) -> str:
    return under_kvm(None, Access.DATA, 0, fwb=fwb).kind


def _to_fwb(had: int, has: int, coherent_dma: bool | None) -> Iterator[Finding]:
    why = (
        f"accesses with the MMU off were {_kind(False)} and are {_kind(True)} here, "
        "so that what is not aligned need not fault any more"
    )
    yield Finding("", _MEMORY, had, has, Outcome.LEAK, "IDENT-67", why)
    if coherent_dma:
        return
    agent = (
        "a device that bypasses caches"
        if coherent_dma is False
        else "a device that bypasses caches, if there is one,"
    )
    why = (
        f"memory that the guest has as not cacheable is {_kind(True)} here, and {agent} "
        "does not see what the guest has written"
    )
    if coherent_dma is None:
        remedy = "tell whether all devices of the VM are coherent"
        yield Finding("", _DMA, had, has, Outcome.UNKNOWN, "IDENT-68", why, remedy=remedy)
    else:
        attribute = f"{kvm_memattr(Stage2.AS_STAGE_1, fwb=True):#b}"
        remedy = (
            f"map its buffers at stage 2 with MemAttr {attribute}, as stage 1 has them, or take the device away"
        )
        yield Finding("", _DMA, had, has, Outcome.REFUSED, "IDENT-68", why, remedy=remedy)


def _from_fwb(had: int, has: int) -> Iterator[Finding]:
    why = (
        f"accesses with the MMU off were {_kind(True)} and are {_kind(False)} here: what is not aligned, "
        "and DC ZVA, may have worked before and faults, and exclusives need not work"
    )
    remedy = "let firmware and boot loaders turn the MMU on before they do such accesses"
    yield Finding("", _MEMORY, had, has, Outcome.LEAK, "IDENT-67", why, remedy=remedy)
    why = (
        "caches have to be cleaned for a guest that bypasses them, which is watched until its MMU and caches are on"
    )
    yield Finding(
        *("", "cache maintenance", had, has, Outcome.TRAP, "IDENT-66", why),
        traps=("HCR_EL2.TVM",),
        cost=Cost.RARE,
    )


def _contradiction(host: Cpu) -> Iterator[Finding]:
    """A host that forces Write-Back and whose data caches need cleaning for instructions. Rule IDENT-69."""
    for name in ("LoUU", "LoUIS"):
        level = field_of(host, _CLIDR, name)
        if level and _fwb(host):
            why = f"a CPU with FEAT_S2FWB has {name} 0, so that one of the host's two registers is not its own"
            remedy = f"read {_CLIDR} and {_MMFR2} of the host again"
            yield Finding(_CLIDR, name, None, level, Outcome.UNKNOWN, "IDENT-69", why, remedy=remedy)
