"""Where a guest's breakpoints lie on a host, beside all the places where they could."""

from collections import Counter
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.identity.breakpoints import DebugError, DebugResources
from vgic.identity.debug_map import DebugMap, DebugPoint, SavedDebug, debug_map, lacking

WATCHPOINTS = 2

CONTEXTS = {
    **{(b, c): [n >= b - c for n in range(b)] for b in range(2, 17) for c in range(1, b + 1)},
    **{(b, c): [16 - c <= n < 16 for n in range(b)] for b in range(17, 33) for c in range(1, 17)},
    **{(b, c): [n < c for n in range(b)] for b in range(17, 33) for c in range(17, b + 1)},
}
"""By hand: which of `b` breakpoints match contexts, where `c` do."""


def places(guest: tuple[int, int], host: tuple[int, int]) -> list[tuple[int, ...]]:
    """Every way to put the guest's breakpoints, each onto one of its own that can do as much."""
    mine, its = CONTEXTS[guest], CONTEXTS[host]
    return [
        chosen
        for chosen in permutations(range(len(its)), len(mine))
        if all(its[there] or not mine[here] for here, there in enumerate(chosen))
    ]


SMALL = [(b, c) for b in range(2, 6) for c in range(1, b + 1)]


@pytest.mark.rule("IDENT-42")
def test_a_map_is_made_where_there_is_one_and_keeps_numbers_where_that_is_one() -> None:
    made = Counter[str]()
    for guest, host in product(SMALL, SMALL):
        possible = places(guest, host)
        mine, its = (DebugResources(*numbers, WATCHPOINTS) for numbers in (guest, host))
        if not possible:
            made["none"] += 1
            assert lacking(mine, its)
            with pytest.raises(DebugError, match="has too few"):
                debug_map(mine, its)
            continue
        found = debug_map(mine, its)
        assert found.breakpoints in possible
        kept = tuple(range(guest[0]))
        assert found.identity == (found.breakpoints == kept) == (kept in possible)
        # What is moved is no more than has to be.
        still = max(sum(a == b for a, b in zip(chosen, kept, strict=True)) for chosen in possible)
        assert sum(a == b for a, b in zip(found.breakpoints, kept, strict=True)) == still
        made["kept" if found.identity else "moved"] += 1
    assert min(made[kind] for kind in ("none", "kept", "moved")) > 10


@pytest.mark.rule("IDENT-42")
@pytest.mark.parametrize(
    ("guest", "host", "breakpoints"),
    [
        ((6, 2, 4), (6, 2, 4), (0, 1, 2, 3, 4, 5)),
        ((6, 2, 4), (8, 4, 4), (0, 1, 2, 3, 4, 5)),
        ((6, 2, 4), (8, 2, 4), (0, 1, 2, 3, 6, 7)),
        ((6, 2, 4), (16, 1, 4), None),
        ((8, 2, 4), (6, 2, 4), None),
        ((6, 2, 5), (6, 2, 4), None),
        ((4, 2, 4), (32, 17, 4), (0, 1, 2, 3)),
        ((6, 2, 4), (32, 2, 4), (0, 1, 2, 3, 14, 15)),
        ((16, 2, 4), (32, 2, 4), tuple(range(16))),
        ((20, 18, 4), (32, 18, 4), tuple(range(20))),
        ((18, 2, 4), (32, 20, 4), tuple(range(18))),
    ],
)
def test_a_guest_finds_its_breakpoints(
    guest: tuple[int, int, int], host: tuple[int, int, int], breakpoints: tuple[int, ...] | None
) -> None:
    mine, its = DebugResources(*guest), DebugResources(*host)
    if breakpoints is None:
        with pytest.raises(DebugError):
            debug_map(mine, its)
    else:
        assert debug_map(mine, its).breakpoints == breakpoints


@pytest.mark.rule("IDENT-40", "IDENT-42")
def test_what_cannot_be_mapped_is_named() -> None:
    guest, host = DebugResources(8, 2, 4), DebugResources(6, 1, 2)
    assert lacking(guest, host) == ("BRPs", "CTX_CMPs", "WRPs")
    with pytest.raises(DebugError, match=r"has too few for .*breakpoints=8.*: BRPs, CTX_CMPs, WRPs$"):
        debug_map(guest, host)
    with pytest.raises(DebugError, match="there are 2 to 64 breakpoints, and not 1"):
        debug_map(DebugResources(1, 1, 4), guest)
    with pytest.raises(DebugError, match="there are 2 to 64 watchpoints, and not 1"):
        debug_map(host, DebugResources(8, 2, 1))


# Of a control register: enabled, the type at [23:20], the number of a linked breakpoint at [19:16] and [31:30].
ADDRESS, LINKED, MISMATCH, LINKED_MISMATCH, CONTEXT, LINKED_CONTEXT = 0, 1, 4, 5, 2, 3


def control(kind: int, link: int = 0, *, enabled: bool = True, more: int = 0) -> int:
    return int(enabled) | kind << 20 | (link & 0xF) << 16 | link >> 4 << 30 | more


LINK = 0xC00F_0000
"""Where the number of a linked breakpoint is."""


def does(saved: SavedDebug) -> tuple[Counter[object], list[object]]:
    """What a set of registers does, whatever the numbers of breakpoints: a second reading of them."""

    def meaning(point: DebugPoint, linked: bool) -> object:
        if not point.control & 1:
            return None
        if not linked:
            return point
        number = point.control >> 16 & 0xF | (point.control >> 30 & 3) << 4
        target = saved.breakpoints[number]
        return point.control & ~LINK, point.value, target.control & ~LINK, target.value

    breakpoints = Counter(
        meaning(point, point.control >> 20 & 0xF in (LINKED, LINKED_MISMATCH)) for point in saved.breakpoints
    )
    del breakpoints[None]
    return breakpoints, [meaning(point, bool(point.control >> 20 & 1)) for point in saved.watchpoints]


RESOURCES = st.one_of(
    st.tuples(st.integers(2, 8), st.integers(1, 8), st.integers(2, 4)),
    st.tuples(st.integers(12, 24), st.integers(1, 24), st.integers(2, 4)),
).filter(lambda numbers: numbers[1] <= numbers[0])


@st.composite
def guests_and_hosts(draw: st.DrawFn) -> tuple[DebugMap, SavedDebug]:
    guest, host = draw(RESOURCES), draw(RESOURCES)
    host = (max(guest[0], host[0]), max(guest[1], host[1]), max(guest[2], host[2]))
    contexts = CONTEXTS[guest[:2]]
    targets = [number for number, aware in enumerate(contexts) if aware]
    other_bits = st.integers(0, (1 << 9) - 1).map(lambda bits: (bits & 3) << 1 | (bits >> 2 & 0xF) << 5)
    link = st.sampled_from(targets)
    addresses = st.builds(
        lambda kind, to, enabled, more: control(kind, to, enabled=enabled, more=more),
        st.sampled_from([ADDRESS, LINKED, MISMATCH, LINKED_MISMATCH]),
        link,
        st.booleans(),
        other_bits,
    )
    matching = st.builds(
        lambda kind, enabled: control(kind, enabled=enabled),
        st.sampled_from([CONTEXT, LINKED_CONTEXT, 7, 9, 15]),
        st.booleans(),
    )
    values = st.integers(0, (1 << 64) - 1)
    breakpoints = [
        DebugPoint(draw(st.one_of(addresses, matching) if aware else addresses), draw(values)) for aware in contexts
    ]
    watchpoints = [
        DebugPoint(
            draw(
                st.builds(
                    lambda kind, to, on: control(kind, to, enabled=on), st.integers(0, 1), link, st.booleans()
                )
            ),
            draw(values),
        )
        for _ in range(guest[2])
    ]
    saved = SavedDebug(tuple(breakpoints), tuple(watchpoints))
    return debug_map(DebugResources(*guest), DebugResources(*host)), saved


@pytest.mark.rule("IDENT-43")
@given(case=guests_and_hosts())
def test_rewritten_registers_do_what_the_guests_do(case: tuple[DebugMap, SavedDebug]) -> None:
    found, saved = case
    there = found.rewrite(saved)
    assert (len(there.breakpoints), len(there.watchpoints)) == (found.host.breakpoints, found.host.watchpoints)
    breakpoints, watchpoints = does(saved)
    its_breakpoints, its_watchpoints = does(there)
    assert its_watchpoints == watchpoints + [None] * (found.host.watchpoints - found.guest.watchpoints)
    assert its_breakpoints == breakpoints
    if found.identity:
        assert there.breakpoints[: found.guest.breakpoints] == saved.breakpoints


@pytest.mark.rule("IDENT-43")
def test_links_of_breakpoints_and_watchpoints_are_rewritten() -> None:
    found = debug_map(DebugResources(6, 2, 2), DebugResources(32, 17, 4))
    # The host's match contexts from 0 to 16, so that a guest's 4 and 5 can stay.
    assert found.identity
    found = debug_map(DebugResources(6, 2, 2), DebugResources(8, 2, 4))
    linked, context = DebugPoint(control(LINKED, 5), 0x8000), DebugPoint(control(LINKED_CONTEXT), 77)
    off, watch = DebugPoint(control(LINKED, 3, enabled=False), 1), DebugPoint(control(1, 4), 0x9000)
    saved = SavedDebug((linked, off, DebugPoint(), DebugPoint(), context, context), (watch, DebugPoint()))
    there = found.rewrite(saved)
    none = DebugPoint()
    # 4 lies at 6, 5 at 7; what is off may say anything, and keeps it.
    assert there.breakpoints == (
        DebugPoint(control(LINKED, 7), 0x8000),
        off,
        none,
        none,
        none,
        none,
        context,
        context,
    )
    assert there.watchpoints == (DebugPoint(control(1, 6), 0x9000), none, none, none)


@pytest.mark.rule("IDENT-43")
def test_a_number_above_15_goes_into_both_fields() -> None:
    found = DebugMap(DebugResources(2, 1, 2), DebugResources(32, 20, 2), (0, 18))
    saved = SavedDebug((DebugPoint(control(LINKED, 1)), DebugPoint()), (DebugPoint(control(1, 1)), DebugPoint()))
    there = found.rewrite(saved)
    assert there.breakpoints[0].control == 1 | 1 << 20 | 2 << 16 | 1 << 30
    assert there.watchpoints[0].control == 1 | 1 << 20 | 2 << 16 | 1 << 30


GUEST = DebugResources(6, 2, 2)
BAD = [
    (0, control(LINKED, 3), r"DBGBCR0_EL1: 0x130001 links to breakpoint 3, which cannot match a context"),
    (1, control(LINKED_MISMATCH, 6), r"DBGBCR1_EL1: 0x560001 links to breakpoint 6 of 6"),
    (1, control(LINKED, 20), r"DBGBCR1_EL1: 0x40140001 links to breakpoint 20 of 6"),
    (3, control(CONTEXT), r"DBGBCR3_EL1: 0x200001 matches a context, and breakpoint 3 cannot"),
    (3, control(8), r"DBGBCR3_EL1: 0x800001 matches a context, and breakpoint 3 cannot"),
    (3, control(ADDRESS, more=8), r"DBGBCR3_EL1: 0x9 lets others link to an address"),
    (2, 1 << 64, r"DBGBCR2_EL1: .* does not fit into 64 bits"),
    (2, -1, r"DBGBCR2_EL1: .* does not fit into 64 bits"),
]


@pytest.mark.rule("IDENT-44")
@pytest.mark.parametrize(("number", "value", "why"), BAD)
def test_what_the_guests_own_numbers_do_not_allow_is_refused(number: int, value: int, why: str) -> None:
    points = [DebugPoint()] * 6
    points[number] = DebugPoint(value)
    found = debug_map(GUEST, DebugResources(8, 2, 4))
    with pytest.raises(DebugError, match=why):
        found.rewrite(SavedDebug(tuple(points), (DebugPoint(),) * 2))
    if 0 <= value < 1 << 64:
        points[number] = DebugPoint(value & ~1)
        assert found.rewrite(SavedDebug(tuple(points), (DebugPoint(),) * 2))


@pytest.mark.rule("IDENT-44")
def test_a_watchpoint_links_to_a_context_alone() -> None:
    found = debug_map(GUEST, GUEST)
    none = (DebugPoint(),) * 6
    for link, why in ((3, "DBGWCR1_EL1: 0x130001 links to breakpoint 3, which"), (7, "DBGWCR1_EL1: .* 7 of 6")):
        with pytest.raises(DebugError, match=why):
            found.rewrite(SavedDebug(none, (DebugPoint(), DebugPoint(control(1, link)))))
        off = SavedDebug(none, (DebugPoint(control(0, link)), DebugPoint(control(1, link, enabled=False))))
        assert found.rewrite(off) == off
    with pytest.raises(DebugError, match=r"DBGWCR0_EL1: .* does not fit into 64 bits"):
        found.rewrite(SavedDebug(none, (DebugPoint(0, 1 << 64), DebugPoint())))


@pytest.mark.rule("IDENT-44")
def test_a_set_is_whole_or_refused() -> None:
    found = debug_map(GUEST, GUEST)
    with pytest.raises(DebugError, match="the guest has 6 breakpoints, and 5 are saved"):
        found.rewrite(SavedDebug((DebugPoint(),) * 5, (DebugPoint(),) * 2))
    with pytest.raises(DebugError, match="the guest has 2 watchpoints, and 3 are saved"):
        found.rewrite(SavedDebug((DebugPoint(),) * 6, (DebugPoint(),) * 3))
