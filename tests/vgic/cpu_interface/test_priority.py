"""Priorities: the mask, ties, the binary points, and who preempts whom."""

import itertools

import pytest

import vgic
from guest import Guest
from vgic import ARCH, ICC_BPR0_EL1, ICC_BPR1_EL1, ICC_CTLR_EL1, ICC_PMR_EL1, ICC_RPR_EL1, QEMU, SPURIOUS

CBPR = 1 << 0


def preempts(guest: Guest, first: tuple[int, int], then: tuple[int, int]) -> bool:
    """Whether INTID 41 is signalled while 40 is active; each is (group, priority)."""
    for intid, (group, priority) in ((40, first), (41, then)):
        guest.setup(intid, group=group, priority=priority, edge=True)
    guest.pulse(40)
    guest.take(40, group=first[0])
    guest.pulse(41)
    return guest.gic.outputs(0) != (False, False)


@pytest.mark.rule("PRIO-1")
@pytest.mark.parametrize("group", [0, 1])
def test_only_priorities_above_the_mask_are_signalled(group: int) -> None:
    guest = Guest().boot()
    guest.setup(40, group=group, priority=0x80)
    guest.line(40, True)
    for pmr, signalled in ((0, False), (0x78, False), (0x80, False), (0x88, True), (0xF8, True), (0x80, False)):
        guest.msr(ICC_PMR_EL1, pmr)
        assert (guest.fiq() if group == 0 else guest.irq()) == signalled
    assert guest.ack(group=group) == SPURIOUS
    guest.msr(ICC_PMR_EL1, 0x88)
    guest.take(40, group=group)


@pytest.mark.rule("PRIO-1")
@pytest.mark.parametrize(("bits", "kept"), [(4, 0xF0), (5, 0xF8), (6, 0xFC), (7, 0xFE), (8, 0xFF)])
def test_the_mask_has_the_implemented_bits(bits: int, kept: int) -> None:
    guest = Guest(priority_bits=bits)
    assert guest.mrs(ICC_PMR_EL1) == 0
    guest.msr(ICC_PMR_EL1, 0xFFFF_FFFF_FFFF_FFFF)
    assert guest.mrs(ICC_PMR_EL1) == kept
    guest.msr(ICC_PMR_EL1, 0x5F)
    assert guest.mrs(ICC_PMR_EL1) == 0x5F & kept


@pytest.mark.rule("PRIO-1")
def test_the_lowest_priority_is_never_signalled() -> None:
    guest = Guest().boot()
    guest.setup(40, priority=0xFF)
    guest.line(40, True)
    assert not guest.irq()
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == 40


@pytest.mark.rule("PRIO-2")
@pytest.mark.parametrize("order", list(itertools.permutations([1, 27, 32, 64])))
def test_ties_go_to_the_lowest_intid_whatever_came_first(order: tuple[int, ...]) -> None:
    guest = Guest().boot()
    guest.setup(*order, edge=True)
    for intid in order:
        guest.set_bit(0x200, intid)  # ISPENDR
    for intid in (1, 27, 32, 64):
        guest.take(intid)
        guest.eoi(intid)
    assert guest.ack() == SPURIOUS


@pytest.mark.rule("PRIO-2")
def test_ties_between_the_groups_go_to_the_lowest_intid_too() -> None:
    guest = Guest().boot()
    guest.setup(40, group=1)
    guest.setup(41, group=0)
    guest.line(41, True)
    guest.line(40, True)
    assert guest.gic.outputs(0) == (True, False)


@pytest.mark.rule("PRIO-2")
def test_a_better_priority_beats_a_lower_intid() -> None:
    guest = Guest().boot()
    guest.setup(32, priority=0x88)
    guest.setup(95, priority=0x80)
    guest.line(32, True)
    guest.line(95, True)
    guest.take(95)


@pytest.mark.rule("PRIO-7")
@pytest.mark.parametrize(
    ("first", "then", "expected"), [(0x80, 0x78, True), (0x80, 0x80, False), (0x80, 0x88, False), (0, 0, False)]
)
@pytest.mark.parametrize("groups", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_only_a_higher_priority_preempts(first: int, then: int, expected: bool, groups: tuple[int, int]) -> None:
    guest = Guest().boot()
    assert preempts(guest, (groups[0], first), (groups[1], then)) == expected
    assert guest.ack(group=groups[1]) == (41 if expected else SPURIOUS)


@pytest.mark.rule("PRIO-7")
@pytest.mark.parametrize("groups", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    ("running", "wants", "expected"),
    [
        # Of the interrupt that wants in only bits [7:6] count. 0x58 runs at 0x58, of which they leave 0x40.
        (0x58, 0x40, False),
        (0x58, 0x50, False),
        (0x78, 0x40, False),
        (0x40, 0x38, True),
        (0x88, 0x7F, True),
        (0x88, 0x80, False),
    ],
)
def test_the_running_priority_is_cut_by_the_split_of_the_one_that_wants_in(
    running: int, wants: int, expected: bool, groups: tuple[int, int]
) -> None:
    guest = Guest(priority_bits=8).boot()
    fine, coarse = (
        ((ICC_BPR0_EL1, 0), (ICC_BPR1_EL1, 6)) if groups == (0, 1) else ((ICC_BPR1_EL1, 1), (ICC_BPR0_EL1, 5))
    )
    for register, value in (fine, coarse):
        guest.msr(register, value)
    assert preempts(guest, (groups[0], running), (groups[1], wants)) == expected
    assert guest.mrs(ICC_RPR_EL1) == running & 0xFE
    assert guest.ack(group=groups[1]) == (41 if expected else SPURIOUS)


@pytest.mark.rule("PRIO-7")
def test_the_running_priority_is_cut_no_further_than_the_one_that_wants_in_is() -> None:
    """What ran with a coarse split keeps its own bits, and one with a fine split preempts by all of its own."""
    guest = Guest(priority_bits=8).boot()
    guest.msr(ICC_BPR0_EL1, 5)
    guest.msr(ICC_BPR1_EL1, 1)
    assert not preempts(guest, (0, 0x58), (1, 0x42))
    assert guest.mrs(ICC_RPR_EL1) == 0x40
    guest.eoi(40, group=0)
    guest.take(41)


@pytest.mark.rule("PRIO-7")
def test_what_could_not_preempt_is_signalled_after_the_priority_drop() -> None:
    guest = Guest().boot()
    assert not preempts(guest, (1, 0x80), (1, 0x80))
    guest.eoi(40)
    guest.take(41)


# The number of bits, counted from bit 7, that a binary point leaves to the group priority.
GROUP_BITS_0 = {0: 7, 1: 6, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1, 7: 0}
GROUP_BITS_1 = {1: 7, 2: 6, 3: 5, 4: 4, 5: 3, 6: 2, 7: 1}


def split(group: int, bpr: int) -> list[bool]:
    """For priorities that differ from bit 7, 6, ... 0 downwards: whether the better one preempts."""
    results = []
    for bit in range(7, -1, -1):
        guest = Guest(priority_bits=8).boot()
        guest.msr(ICC_BPR0_EL1 if group == 0 else ICC_BPR1_EL1, bpr)
        results.append(preempts(guest, (group, 1 << bit), (group, 0)))
    return results


@pytest.mark.rule("PRIO-3")
@pytest.mark.parametrize(("bpr", "bits"), GROUP_BITS_0.items())
def test_bpr0_splits_the_priority(bpr: int, bits: int) -> None:
    assert split(0, bpr) == [True] * bits + [False] * (8 - bits)


@pytest.mark.rule("PRIO-4")
@pytest.mark.parametrize(("bpr", "bits"), GROUP_BITS_1.items())
def test_bpr1_splits_the_priority_one_bit_further_right(bpr: int, bits: int) -> None:
    assert split(1, bpr) == [True] * bits + [False] * (8 - bits)


@pytest.mark.rule("PRIO-3", "PRIO-4")
@pytest.mark.parametrize("group", [0, 1])
def test_the_split_of_the_interrupt_that_wants_in_decides(group: int) -> None:
    for own, expected in ((4, True), (6, False)):
        guest = Guest().boot()
        bprs = (ICC_BPR0_EL1, ICC_BPR1_EL1) if group == 0 else (ICC_BPR1_EL1, ICC_BPR0_EL1)
        guest.msr(bprs[0], own)
        guest.msr(bprs[1], 3)
        assert preempts(guest, (1 - group, 0x70), (group, 0x40)) == expected


@pytest.mark.rule("PRIO-8", "CPU-7")
def test_the_running_priority_is_the_group_priority_at_acknowledgement() -> None:
    guest = Guest().boot()
    guest.msr(ICC_BPR1_EL1, 6)
    guest.setup(40, priority=0xB8, edge=True)
    guest.pulse(40)
    guest.take(40)
    assert guest.mrs(ICC_RPR_EL1) == 0x80
    assert guest.mrs(vgic.ICC_AP1R0_EL1) == 1 << 16
    guest.msr(ICC_BPR1_EL1, 3)
    assert guest.mrs(ICC_RPR_EL1) == 0x80


@pytest.mark.rule("PRIO-5")
@pytest.mark.parametrize(("bits", "minimum"), [(4, 3), (5, 2), (6, 1), (7, 0), (8, 0)])
def test_binary_points_have_a_minimum(bits: int, minimum: int) -> None:
    guest = Guest(priority_bits=bits)
    for register, least in ((ICC_BPR0_EL1, minimum), (ICC_BPR1_EL1, minimum + 1)):
        assert guest.mrs(register) == least
        for value in range(8):
            guest.msr(register, value)
            assert guest.mrs(register) == max(value, least)
        guest.msr(register, 0xF8)
        assert guest.mrs(register) == least


@pytest.mark.rule("PRIO-6")
def test_with_cbpr_group_1_uses_bpr0() -> None:
    for cbpr, expected in ((0, True), (CBPR, False)):
        guest = Guest().boot()
        guest.msr(ICC_BPR0_EL1, 6)
        guest.msr(ICC_CTLR_EL1, cbpr)
        assert preempts(guest, (1, 0x70), (1, 0x40)) == expected
        assert guest.mrs(ICC_RPR_EL1) == (0 if cbpr else 0x70)


@pytest.mark.rule("PRIO-6")
@pytest.mark.parametrize(("bpr0", "shown"), [(2, 3), (4, 5), (6, 7), (7, 7)])
def test_with_cbpr_bpr1_shows_bpr0_plus_one_and_keeps_its_value(bpr0: int, shown: int) -> None:
    guest = Guest()
    guest.msr(ICC_BPR1_EL1, 4)
    guest.msr(ICC_BPR0_EL1, bpr0)
    guest.msr(ICC_CTLR_EL1, CBPR)
    assert guest.mrs(ICC_BPR1_EL1) == shown
    guest.msr(ICC_BPR1_EL1, 6)
    assert guest.mrs(ICC_BPR1_EL1) == shown
    guest.msr(ICC_CTLR_EL1, 0)
    assert guest.mrs(ICC_BPR1_EL1) == 4


@pytest.mark.rule("PRIO-9")
@pytest.mark.parametrize(("profile", "shown"), [(ARCH, 40), (QEMU, SPURIOUS)], ids=["arch", "qemu"])
def test_whether_the_idle_priority_counts_as_pending(profile: vgic.Profile, shown: int) -> None:
    guest = Guest(profile=profile, priority_bits=8).boot()
    guest.setup(40, priority=0xFF)
    guest.line(40, True)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == shown
    guest.set_priority(40, 0xFE)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == 40
    guest.take(40)


@pytest.mark.rule("PRIO-2")
def test_ties_go_to_group_0_where_that_has_the_lower_intid() -> None:
    guest = Guest().boot()
    guest.setup(40, group=0)
    guest.setup(41, group=1)
    guest.line(41, True)
    guest.line(40, True)
    assert guest.gic.outputs(0) == (False, True)
    guest.take(40, group=0)


@pytest.mark.rule("PRIO-8")
@pytest.mark.parametrize("group", [0, 1])
def test_a_coarser_binary_point_leaves_the_running_priority(group: int) -> None:
    guest = Guest().boot()
    guest.setup(40, priority=0xB8, group=group, edge=True)
    guest.pulse(40)
    guest.take(40, group=group)
    guest.msr(ICC_BPR0_EL1, 6)
    guest.msr(ICC_BPR1_EL1, 7)
    assert guest.mrs(ICC_RPR_EL1) == 0xB8
    guest.set_priority(40, 0x10)
    assert guest.mrs(ICC_RPR_EL1) == 0xB8
