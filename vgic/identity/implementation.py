"""Which CPU it is, and its caches and counter: MIDR to AIDR, CTR, DCZID, CLIDR, CCSIDR and CSSELR, CNTFRQ.

Source: DDI 0487 (D24.2, by name).
"""

from typing import Final

from vgic.identity.declaring import exact, feature, higher_or_zero, id_register, one, zero

__all__ = [
    "AIDR",
    "CCSIDR",
    "CCSIDR_CCIDX",
    "CLIDR",
    "CNTFRQ",
    "CSSELR",
    "CTR",
    "DCZID",
    "MIDR",
    "MPIDR",
    "REVIDR",
    "cache_name",
]

MIDR: Final = id_register(
    "MIDR_EL1",
    *(3, 0, 0, 0, 0),
    zero(32),
    exact("Implementer", "who made it: 0x41 Arm, 0x61 Apple, 0x46 Fujitsu, 0xc0 Ampere", bits=8),
    exact("Variant", "the major revision, n of rnpm"),
    exact("Architecture", "15: the ID registers tell"),
    exact("PartNum", "which part", bits=12),
    exact("Revision", "the minor revision, m of rnpm"),
)

MPIDR: Final = id_register(
    "MPIDR_EL1",
    *(3, 0, 0, 0, 5),
    zero(24),
    exact("Aff3", "affinity level 3", bits=8),
    one(),
    exact("U", "the only PE of its system", bits=1),
    zero(5),
    exact("MT", "PEs of one Aff0 depend on each other, as threads do", bits=1),
    exact("Aff2", "affinity level 2", bits=8),
    exact("Aff1", "affinity level 1", bits=8),
    exact("Aff0", "affinity level 0", bits=8),
)

REVIDR: Final = id_register(
    "REVIDR_EL1", *(3, 0, 0, 0, 6), exact("REVIDR", "errata that are mended, by bits of the part's own", bits=64)
)

AIDR: Final = id_register(
    "AIDR_EL1", *(3, 1, 0, 0, 7), exact("AIDR", "what the implementer likes to tell", bits=64)
)

CTR: Final = id_register(
    "CTR_EL0",
    *(3, 3, 0, 0, 1),
    zero(26),
    feature("TminLine", "the least granule of tags, log2 of words", bits=6),
    one(),
    zero(1),
    feature("DIC", "instruction caches need no invalidation to see what was written", bits=1),
    feature("IDC", "data caches need no cleaning for instructions to see what was written", bits=1),
    higher_or_zero("CWG", "the most that a write-back writes, log2 of words; 0 says nothing"),
    higher_or_zero("ERG", "the most that an exclusive reserves, log2 of words; 0 says nothing"),
    feature("DminLine", "the least line of data caches, log2 of words"),
    exact("L1Ip", "the L1 instruction cache: 2 VIPT, 3 PIPT", bits=2, safe=2),
    zero(10),
    feature("IminLine", "the least line of instruction caches, log2 of words"),
)

DCZID: Final = id_register(
    "DCZID_EL0",
    *(3, 3, 0, 0, 7),
    zero(59),
    exact("DZP", "DC ZVA is prohibited", bits=1),
    exact("BS", "what DC ZVA zeroes, log2 of words"),
)

CLIDR: Final = id_register(
    "CLIDR_EL1",
    *(3, 1, 0, 0, 1),
    zero(17),
    *(exact(f"Ttype{level}", "allocation tags: 0 none, 1 apart, 2 with data", bits=2) for level in range(7, 0, -1)),
    exact("ICB", "the outermost cache of the Inner Shareable domain; 0 says nothing", bits=3),
    exact("LoUU", "where data and instructions of one PE meet", bits=3),
    exact("LoC", "where all observers meet", bits=3),
    exact("LoUIS", "where data and instructions of the Inner Shareable domain meet", bits=3),
    *(
        exact(f"Ctype{level}", "the cache: 0 none, 1 instruction, 2 data, 3 both apart, 4 unified", bits=3)
        for level in range(7, 0, -1)
    ),
)

CSSELR: Final = id_register(
    "CSSELR_EL1",
    *(3, 2, 0, 0, 0),
    zero(59),
    exact("TnD", "of allocation tags", bits=1),
    exact("Level", "level of cache, minus one", bits=3),
    exact("InD", "of instructions", bits=1),
)

CCSIDR: Final = id_register(
    "CCSIDR_EL1",
    *(3, 1, 0, 0, 0),
    zero(32),
    exact("UNKNOWN", "what older CPUs say of write-back and allocation, and Arm no longer defines"),
    exact("NumSets", "sets, minus one", bits=15),
    exact("Associativity", "ways, minus one", bits=10),
    exact("LineSize", "of a line, log2 of bytes minus 4", bits=3),
)
"""In the format of 32 bits."""

CCSIDR_CCIDX: Final = id_register(
    "CCSIDR_EL1",
    *(3, 1, 0, 0, 0),
    zero(8),
    exact("NumSets", "sets, minus one", bits=24),
    zero(8),
    exact("Associativity", "ways, minus one", bits=21),
    exact("LineSize", "of a line, log2 of bytes minus 4", bits=3),
)
"""In the format of FEAT_CCIDX, of 64 bits."""

CNTFRQ: Final = id_register(
    "CNTFRQ_EL0", *(3, 3, 14, 0, 0), zero(32), exact("Frequency", "of the system counter, Hz", bits=32)
)


def cache_name(selector: int) -> str:
    """What CSSELR_EL1 selects: "L1D" for a data or unified cache, "L1I" for one of instructions.

    >>> [cache_name(selector) for selector in (0, 1, 2)]
    ['L1D', 'L1I', 'L2']
    """
    level, instructions = selector // 2 + 1, selector % 2
    return f"L{level}I" if instructions else ("L1D" if level == 1 else f"L{level}")
