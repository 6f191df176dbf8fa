"""Trap plans: every difference in both directions, and the exact accesses that each control traps."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmio import AccessKind
from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
from vgic.host.trap_plan import ALWAYS_TRAPPED, TRAPPED_BY, Control, RegisterAccess, TrapPlan, trap_plan
from vgic.layouts.icc import ICC
from vgic.layouts.ich import HCR, VTR

CTLR = ["read of ICC_CTLR_EL1"]
TC_WITHOUT_SGIS = [
    "read of ICC_CTLR_EL1",
    "read of ICC_PMR_EL1",
    "read of ICC_RPR_EL1",
    "write of ICC_CTLR_EL1",
    "write of ICC_DIR_EL1",
    "write of ICC_PMR_EL1",
]
SGIS = ["write of ICC_ASGI1R_EL1", "write of ICC_SGI0R_EL1", "write of ICC_SGI1R_EL1"]


def names(accesses: Iterable[RegisterAccess]) -> list[str]:
    return sorted(map(str, accesses))


def group(n: int) -> list[str]:
    both = [f"BPR{n}", f"IGRPEN{n}", f"AP{n}R0", f"AP{n}R1", f"AP{n}R2", f"AP{n}R3"]
    reads = [f"read of ICC_{name}_EL1" for name in (f"IAR{n}", f"HPPIR{n}", *both)]
    return sorted([*reads, *(f"write of ICC_{name}_EL1" for name in (f"EOIR{n}", *both))])


def without(names: list[str], removed: list[str]) -> list[str]:
    return [name for name in names if name not in removed]


def only(plan: TrapPlan, field: str, guest: int, host: int) -> None:
    """The plan is about this one field."""
    assert [(d.field, d.guest, d.host) for d in plan.differences] == [(field, guest, host)]


views = st.builds(CpuInterfaceView, st.booleans(), st.integers(4, 8), st.sampled_from([16, 24]), st.booleans())
hosts = st.integers(5, 8).flatmap(
    lambda bits: st.builds(
        HostCapabilities,
        a3v=st.booleans(),
        priority_bits=st.just(bits),
        preemption_bits=st.integers(5, min(bits, 7)),
        id_bits=st.sampled_from([16, 24]),
        seis=st.booleans(),
        list_registers=st.integers(1, 16),
        tds=st.booleans(),
    )
)


@pytest.mark.rule("HOST-3")
def test_tc_traps_what_both_groups_share() -> None:
    assert names(TRAPPED_BY[Control.TC]) == sorted(TC_WITHOUT_SGIS + SGIS)


@pytest.mark.rule("HOST-4")
def test_tall_traps_every_register_of_its_group() -> None:
    assert names(TRAPPED_BY[Control.TALL0]) == group(0)
    assert names(TRAPPED_BY[Control.TALL1]) == sorted([*group(1), "read of ICC_NMIAR1_EL1"])


@pytest.mark.rule("HOST-3", "HOST-4")
def test_the_controls_trap_each_access_that_the_registers_have_once() -> None:
    """Against the declared registers: all but ICC_SRE_EL1, in the directions that exist; and NMIAR1, undeclared."""
    declared = {
        RegisterAccess(register.title(index), write)
        for register in ICC
        for index in range(register.count)
        for write, kinds in ((False, AccessKind.RO), (True, AccessKind.WO))
        if register.access in (AccessKind.RW, kinds) and register.name != "ICC_SRE_EL1"
    }
    listed = [access for accesses in TRAPPED_BY.values() for access in accesses]
    assert len(listed) == len(set(listed))
    assert set(listed) == declared | {RegisterAccess("ICC_NMIAR1_EL1", write=False)}


@pytest.mark.rule("HOST-5")
@pytest.mark.parametrize("a3v", [False, True])
def test_sgi_registers_trap_anyway(a3v: bool) -> None:
    plan = trap_plan(CpuInterfaceView(a3v=True), HostCapabilities(a3v=a3v))
    assert names(ALWAYS_TRAPPED) == SGIS
    for register in ("ICC_SGI0R", "ICC_SGI1R", "ICC_ASGI1R", "ICC_SGI1R_EL1"):
        assert plan.traps_anyway(register, write=True)
        assert not plan.traps_anyway(register, write=False)
        assert not plan.traps(register, write=True)
    assert not plan.traps_anyway("ICC_CTLR", write=False)
    assert not set(SGIS) & set(names(plan.collateral))


@pytest.mark.rule("HOST-6")
@pytest.mark.parametrize("guest", [False, True])
def test_another_a3v_needs_reads_of_ctlr_trapped(guest: bool) -> None:
    plan = trap_plan(CpuInterfaceView(a3v=guest), HostCapabilities(a3v=not guest))
    only(plan, "A3V", guest, not guest)
    assert plan.possible
    assert names(plan.needed) == CTLR
    assert plan.controls == (Control.TC,)
    assert names(plan.collateral) == without(TC_WITHOUT_SGIS, CTLR)
    assert plan.hcr == 1 << 10
    assert str(plan.differences[0]) == (
        f"A3V is {guest:d} for the guest, {not guest:d} on the host: ICC_CTLR_EL1 would show the host's"
    )


@pytest.mark.rule("HOST-7")
def test_a_host_with_more_priority_bits_needs_ctlr_reads_and_pmr_writes_trapped() -> None:
    host = HostCapabilities(a3v=True, priority_bits=7, preemption_bits=5)
    plan = trap_plan(CpuInterfaceView(a3v=True, priority_bits=5), host)
    only(plan, "PRIbits", 5, 7)
    assert plan.possible
    assert names(plan.needed) == [*CTLR, "write of ICC_PMR_EL1"]
    assert plan.controls == (Control.TC,)
    assert names(plan.collateral) == without(TC_WITHOUT_SGIS, [*CTLR, "write of ICC_PMR_EL1"])


@pytest.mark.rule("HOST-7")
def test_an_eighth_priority_bit_never_preempts() -> None:
    host = HostCapabilities(a3v=True, priority_bits=8, preemption_bits=7)
    only(trap_plan(CpuInterfaceView(a3v=True, priority_bits=7), host), "PRIbits", 7, 8)


@pytest.mark.rule("HOST-8")
@pytest.mark.parametrize(("guest", "has"), [(4, 5), (5, 6), (5, 7), (6, 7)])
def test_a_host_with_more_preemption_bits_needs_both_groups_trapped(guest: int, has: int) -> None:
    host = HostCapabilities(a3v=True, priority_bits=has, preemption_bits=has)
    plan = trap_plan(CpuInterfaceView(a3v=True, priority_bits=guest), host)
    active = [f"ICC_AP{g}R{n}_EL1" for g in (0, 1) for n in range(4)]
    priority, preemption = plan.differences
    assert [(d.field, d.guest, d.host) for d in plan.differences] == [
        ("PRIbits", guest, has),
        ("PREbits", guest, has),
    ]
    assert priority.controls == (Control.TC,)
    assert preemption.controls == (Control.TALL0, Control.TALL1)
    assert names(preemption.needed) == sorted(
        [
            "write of ICC_BPR0_EL1",
            "write of ICC_BPR1_EL1",
            *(f"read of {name}" for name in active),
            *(f"write of {name}" for name in active),
        ]
    )
    assert plan.possible
    assert plan.controls == (Control.TC, Control.TALL0, Control.TALL1)
    assert plan.hcr == 0b111 << 10
    everything = sorted([*TC_WITHOUT_SGIS, *group(0), *group(1), "read of ICC_NMIAR1_EL1"])
    assert names(plan.collateral) == without(everything, names(plan.needed))


@pytest.mark.rule("HOST-9")
def test_a_host_with_fewer_priority_bits_cannot_run_the_guest() -> None:
    host = HostCapabilities(a3v=True, priority_bits=7, preemption_bits=7)
    plan = trap_plan(CpuInterfaceView(a3v=True, priority_bits=8), host)
    only(plan, "PRIbits", 8, 7)
    assert not plan.possible
    assert not plan.needed
    assert not plan.controls


@pytest.mark.rule("HOST-9")
def test_a_host_with_fewer_preemption_bits_cannot_run_the_guest() -> None:
    host = HostCapabilities(a3v=True, priority_bits=7, preemption_bits=5)
    plan = trap_plan(CpuInterfaceView(a3v=True, priority_bits=7), host)
    only(plan, "PREbits", 7, 5)
    assert not plan.possible


@pytest.mark.rule("HOST-9")
def test_one_difference_that_nothing_bridges_makes_the_plan_impossible() -> None:
    plan = trap_plan(CpuInterfaceView(a3v=True, priority_bits=7), HostCapabilities(a3v=False))
    assert [d.field for d in plan.differences] == ["PRIbits", "PREbits", "A3V"]
    assert not plan.possible
    assert plan.controls == (Control.TC,)


@pytest.mark.rule("HOST-10")
def test_a_host_with_longer_intids_needs_reads_of_ctlr_trapped() -> None:
    plan = trap_plan(CpuInterfaceView(a3v=True, id_bits=16), HostCapabilities(a3v=True, id_bits=24))
    only(plan, "IDbits", 16, 24)
    assert plan.possible
    assert names(plan.needed) == CTLR
    assert plan.controls == (Control.TC,)


@pytest.mark.rule("HOST-10")
def test_a_host_with_shorter_intids_cannot_run_the_guest() -> None:
    plan = trap_plan(CpuInterfaceView(a3v=True, id_bits=24), HostCapabilities(a3v=True, id_bits=16))
    only(plan, "IDbits", 24, 16)
    assert not plan.possible
    assert not plan.controls


@pytest.mark.rule("HOST-11")
def test_a_host_that_generates_serrors_traps_them_for_a_guest_told_otherwise() -> None:
    plan = trap_plan(CpuInterfaceView(a3v=True, seis=False), HostCapabilities(a3v=True, seis=True))
    only(plan, "SEIS", 0, 1)
    assert plan.possible
    assert names(plan.needed) == CTLR
    assert plan.controls == (Control.TC, Control.TSEI)
    assert plan.hcr == 1 << 10 | 1 << 13


@pytest.mark.rule("HOST-11")
def test_a_host_without_serrors_only_shows_them() -> None:
    plan = trap_plan(CpuInterfaceView(a3v=True, seis=True), HostCapabilities(a3v=True, seis=False))
    only(plan, "SEIS", 1, 0)
    assert plan.possible
    assert names(plan.needed) == CTLR
    assert plan.controls == (Control.TC,)


@pytest.mark.rule("HOST-12")
@given(views, hosts)
def test_kvm_refuses_what_its_restore_of_ctlr_compares(view: CpuInterfaceView, host: HostCapabilities) -> None:
    refused = {d.field for d in trap_plan(view, host).differences if d.kvm_refuses}
    assert refused == {
        field
        for field, refuses in {
            "PRIbits": view.priority_bits > host.priority_bits,
            "IDbits": view.id_bits > host.id_bits,
            "SEIS": view.seis != host.seis,
            "A3V": view.a3v != host.a3v,
        }.items()
        if refuses
    }


@pytest.mark.rule("HOST-13")
@given(hosts, st.integers(1, 16), st.booleans())
def test_list_registers_and_tds_make_no_difference(host: HostCapabilities, registers: int, tds: bool) -> None:
    view = CpuInterfaceView(host.a3v, host.preemption_bits, host.id_bits, host.seis)
    same = HostCapabilities(
        a3v=host.a3v,
        priority_bits=host.preemption_bits,
        preemption_bits=host.preemption_bits,
        id_bits=host.id_bits,
        seis=host.seis,
        list_registers=registers,
        tds=tds,
    )
    plan = trap_plan(view, same)
    assert plan == TrapPlan(())
    assert plan.possible
    assert (plan.controls, plan.hcr) == ((), 0)
    assert not plan.needed | plan.collateral
    assert not plan.traps("ICC_CTLR", write=False)


@pytest.mark.rule("HOST-3", "HOST-13")
@given(views, hosts)
def test_a_plan_is_sufficient_and_sets_no_control_in_vain(view: CpuInterfaceView, host: HostCapabilities) -> None:
    plan = trap_plan(view, host)
    assert plan.needed <= plan.added
    assert not plan.needed & plan.collateral
    assert plan.needed | plan.collateral == plan.added
    assert {HCR.decode(plan.hcr)[control.name] for control in plan.controls} <= {1}
    assert plan.hcr.bit_count() == len(plan.controls)
    for control in plan.controls:
        if control is Control.TSEI:
            assert host.seis  # the bit is RES0 elsewhere
        else:
            assert plan.needed & TRAPPED_BY[control]
    assert {d.field for d in plan.differences} <= {field.name for field in VTR.fields}


@pytest.mark.rule("HOST-3")
@pytest.mark.parametrize("name", ["ICC_{}", "ICC_{}_EL1", "ICV_{}", "ICV_{}_EL1"])
def test_exits_are_counted_by_the_names_that_recorders_use(name: str) -> None:
    plan = trap_plan(CpuInterfaceView(a3v=True), HostCapabilities(a3v=False))
    assert plan.traps(name.format("CTLR"), write=False)
    assert plan.traps(name.format("CTLR"), write=True)
    assert plan.traps(name.format("PMR"), write=True)
    assert plan.traps(name.format("DIR"), write=True)
    assert not plan.traps(name.format("DIR"), write=False)
    assert not plan.traps(name.format("IAR1"), write=False)
    assert not plan.traps(name.format("EOIR1"), write=True)


@pytest.mark.rule("HOST-3")
@pytest.mark.parametrize("register", ["ICC_CTLR_EL3", "ICH_VTR_EL2", "ICC_SRE", "GICD_CTLR", ""])
def test_what_no_plan_traps_is_no_exit(register: str) -> None:
    plan = trap_plan(CpuInterfaceView(a3v=True), HostCapabilities(a3v=False))
    for write in (False, True):
        assert not plan.traps(register, write)
        assert not plan.traps_anyway(register, write)
