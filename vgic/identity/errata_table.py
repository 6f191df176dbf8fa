"""Errata that operating systems work around, as data: which CPUs have each. Rules IDENT-50 to IDENT-53.

Source: Linux of 2026, arch/arm64/kernel/cpu_errata.c and proton-pack.c (read). Left out are errata that hang on
firmware's answers, on the command line, or on more of the machine than its CPUs.
"""

from typing import Final

from vgic.identity.erratum import Condition, Erratum, Range, revision
from vgic.identity.parts import model_of

__all__ = ["ERRATA"]


def _all(*parts: str) -> tuple[Range, ...]:
    """Every revision of these parts."""
    return tuple(Range(model_of(part)) for part in parts)


def _up_to(part: str, variant: int, minor: int, *, fixed_by: int | None = None) -> Range:
    """A part from r0p0 to a revision, which is mended where REVIDR_EL1 has the bit `fixed_by`."""
    last = revision(variant, minor)
    return Range(model_of(part), 0, last, () if fixed_by is None else ((last, 1 << fixed_by),))


_SPECULATIVE_SSBS: Final = _all(
    *("Cortex-A76", "Cortex-A77", "Cortex-A78", "Cortex-A78C", "Cortex-A710", "Cortex-A715", "Cortex-A720"),
    *("Cortex-A720AE", "Cortex-A725", "Cortex-X1", "Cortex-X1C", "Cortex-X2", "Cortex-X3", "Cortex-X4"),
    *("Cortex-X925", "Azure Cobalt 100", "Neoverse N1", "Neoverse N2", "Neoverse N3", "Neoverse V1"),
    *("Neoverse V2", "Neoverse V3", "Neoverse V3AE"),
)

_BROADCAST_TLBI: Final = _all(
    *("C1-Premium", "C1-Ultra", "Cortex-A76", "Cortex-A76AE", "Cortex-A77", "Cortex-A78", "Cortex-A78AE"),
    *("Cortex-A78C", "Cortex-A710", "Cortex-X1", "Cortex-X1C", "Cortex-X2", "Cortex-X3", "Cortex-X4"),
    *("Cortex-X925", "Neoverse N1", "Neoverse N2", "Neoverse V1", "Neoverse V2", "Neoverse V3"),
    *("Neoverse V3AE", "Azure Cobalt 100"),
)

_IN_ORDER: Final = _all(
    *("Cortex-A35", "Cortex-A53", "Cortex-A55", "Brahma-B53", "Kryo 3XX Silver", "Kryo 4XX Silver"),
)
"""Parts that speculate too little for most attacks."""

_KRYO_GOLD: Final = model_of("Kryo 4XX Gold")

ERRATA: Final[tuple[Erratum, ...]] = (
    Erratum(
        "Arm 819472, 824069, 826319 and 827319",
        "cleaning a data cache can corrupt memory",
        (_up_to("Cortex-A53", 0, 2),),
    ),
    Erratum(
        "Arm 843419",
        "an address made by ADRP near the end of a page can be wrong",
        (_up_to("Cortex-A53", 0, 4, fixed_by=8), _up_to("Brahma-B53", 0, 0)),
    ),
    Erratum(
        "Arm 845719",
        "a load of an AArch32 program can return wrong data",
        (
            _up_to("Cortex-A53", 0, 4),
            _up_to("Brahma-B53", 0, 0),
            Range(model_of("Kryo 2XX Silver"), revision(0xA, 4), revision(0xA, 4)),
        ),
    ),
    Erratum("Arm 832075", "a load of Device memory can deadlock", (_up_to("Cortex-A57", 1, 2),)),
    Erratum("Arm 834220", "a fault of stage 2 can be taken for one of stage 1", (_up_to("Cortex-A57", 1, 2),)),
    Erratum("Arm 858921", "a read of the counter can be wrong", _all("Cortex-A73")),
    Erratum(
        "Arm 1165522, 1319367 and 1530923",
        "translations of another regime can be cached by speculation",
        (
            _up_to("Cortex-A76", 2, 0),
            _up_to("Cortex-A55", 2, 0),
            *_all("Cortex-A57", "Cortex-A72"),
            Range(model_of("Kryo 4XX Silver"), revision(0xD, 0xE), revision(0xD, 0xE)),
        ),
    ),
    Erratum(
        "Arm 1286807",
        "a broadcast invalidation of translations can end too early",
        (_up_to("Cortex-A76", 3, 0), Range(_KRYO_GOLD, revision(0xC, 0xE), revision(0xF, 0xE))),
    ),
    Erratum(
        "Arm 1418040",
        "the counter that an AArch32 program reads can be wrong",
        (
            _up_to("Cortex-A76", 3, 1),
            _up_to("Neoverse N1", 3, 1),
            Range(_KRYO_GOLD, revision(0xC, 0xE), revision(0xF, 0xF)),
        ),
    ),
    Erratum(
        "Arm 1463225",
        "a single step out of a system call can be lost",
        (_up_to("Cortex-A76", 3, 1), Range(_KRYO_GOLD, revision(0xC, 0xE), revision(0xF, 0xF))),
        at_el2=True,
    ),
    Erratum("Arm 1508412", "loads of Device memory and exclusives can deadlock", (_up_to("Cortex-A77", 1, 0),)),
    Erratum(
        "Arm 1542419",
        "instructions can be fetched that have been replaced",
        _all("Neoverse N1"),
        needs=Condition("CTR_EL0", "DIC", 1),
    ),
    Erratum(
        "Arm 1742098",
        "an AArch32 program's AES instructions can be wrong after an interrupt",
        (Range(model_of("Cortex-A57"), revision(0, 1)), *_all("Cortex-A72")),
    ),
    Erratum("Arm 1902691", "the trace buffer can be corrupted", (_up_to("Cortex-A510", 0, 1),)),
    Erratum("Arm 2038923", "the trace buffer can be left in a wrong state", (_up_to("Cortex-A510", 0, 2),)),
    Erratum(
        "Arm 2054223 and 2067961",
        "trace can fail to be flushed",
        _all("Cortex-A710", "Neoverse N2", "Azure Cobalt 100"),
    ),
    Erratum("Arm 2064142", "writes of the trace buffer's registers can be lost", (_up_to("Cortex-A510", 0, 2),)),
    Erratum("Arm 2077057", "SPSR_EL2 can be corrupted by a single step", (_up_to("Cortex-A510", 0, 2),)),
    Erratum(
        "Arm 2119858 and 2139208",
        "a full trace buffer can be overwritten at its start",
        (_up_to("Cortex-X2", 2, 0), *_all("Cortex-A710", "Neoverse N2", "Azure Cobalt 100")),
    ),
    Erratum(
        "Arm 2224489 and 2253138",
        "trace can be written behind its buffer",
        (_up_to("Cortex-X2", 2, 0), *_all("Cortex-A710", "Neoverse N2", "Azure Cobalt 100")),
    ),
    Erratum(
        "Arm 2441007",
        "a broadcast invalidation of translations can end too early",
        _all("Cortex-A55"),
    ),
    Erratum(
        "Arm 2441009",
        "a broadcast invalidation of translations can end too early",
        (_up_to("Cortex-A510", 1, 1),),
    ),
    Erratum("Arm 2457168", "an activity monitor can count wrongly", (_up_to("Cortex-A510", 1, 1),)),
    Erratum("Arm 2645198", "a page made executable can keep its old permission", _all("Cortex-A715")),
    Erratum(
        "Arm 2658417",
        "multiplications of matrices of BF16 can be wrong",
        (_up_to("Cortex-A510", 1, 1, fixed_by=25),),
    ),
    Erratum(
        "Arm 2966298 and 3117295",
        "a load without privilege can leak data by speculation",
        (_up_to("Cortex-A520", 0, 1), *_all("Cortex-A510")),
    ),
    Erratum("Arm 3194386", "a write of PSTATE.SSBS can take effect too late", _SPECULATIVE_SSBS),
    Erratum("Arm 4118414", "a broadcast invalidation of translations can end too early", _BROADCAST_TLBI),
    Erratum(
        "Arm 4193714",
        "an SME unit can confirm an invalidation too early",
        (_up_to("C1-Pro", 1, 2, fixed_by=0),),
        needs=Condition("ID_AA64PFR1_EL1", "SME", 1),
    ),
    Erratum(
        "Ampere AC03_CPU_38",
        "access flags and dirty states that hardware sets cannot be relied on",
        _all("AmpereOne", "AmpereOne AC04"),
    ),
    Erratum("Ampere AC04_CPU_23", "a write of HCR_EL2 can corrupt an address translation", _all("AmpereOne AC04")),
    Erratum(
        "Cavium 23154 and 38545",
        "a read of ICC_IAR1_EL1 can return a wrong INTID",
        _all(
            *("ThunderX", "ThunderX 81XX", "ThunderX 83XX", "OcteonTX2 98XX", "OcteonTX2 96XX"),
            *("OcteonTX2 95XX", "OcteonTX2 95XXN", "OcteonTX2 95XXMM", "OcteonTX2 95XXO"),
        ),
    ),
    Erratum(
        "Cavium 27456",
        "an invalidation of translations can corrupt the instruction cache",
        (_up_to("ThunderX", 1, 1), _up_to("ThunderX 81XX", 0, 0)),
    ),
    Erratum(
        "Cavium 30115",
        "a guest can switch off its host's interrupts",
        (_up_to("ThunderX", 1, 2), _up_to("ThunderX 81XX", 0, 2), _up_to("ThunderX 83XX", 0, 0)),
    ),
    Erratum(
        "Cavium ThunderX2 219",
        "a prefetch can stall while translation registers are written",
        _all("Vulcan", "ThunderX2"),
    ),
    Erratum(
        "NVIDIA Carmel CnP and HiSilicon 162100125",
        "translations that are marked common can be wrong",
        _all("Carmel", "HIP09"),
    ),
    Erratum("Qualcomm Oryon CNTVOFF", "CNTVOFF_EL2 is broken", _all("Oryon")),
    Erratum(
        "Spectre v2",
        "branches can be steered by what another context has trained",
        (*_IN_ORDER, *_all("Kunpeng 920", "Kryo 2XX Silver")),
        safe=True,
        unless=Condition("ID_AA64PFR0_EL1", "CSV2", 1),
    ),
    Erratum("Spectre v4", "loads can pass older stores by speculation", _IN_ORDER, safe=True),
    Erratum(
        "Spectre BHB",
        "the history of branches can be used across exceptions",
        (*_IN_ORDER, *_all("Cortex-A510", "Cortex-A520", "Kryo 2XX Silver")),
        safe=True,
        unless=Condition("ID_AA64PFR0_EL1", "CSV2", 3),
    ),
)
"""In the order of who counts them and of their numbers; safe lists last."""
