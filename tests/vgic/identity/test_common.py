"""The strongest contract that several hosts keep: taken by all, with no field that could be stronger."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgic.host import HostCapabilities
from vgic.identity import (
    Cluster,
    Contract,
    Cpu,
    Finding,
    Host,
    HostError,
    Hypervisor,
    Implementation,
    Outcome,
    View,
    check,
)
from vgic.identity.common import Common, common
from vgic.identity.registers import REGISTERS

A76 = {
    "MIDR_EL1": 0x414FD0B1,
    "REVIDR_EL1": 0,
    "AIDR_EL1": 0,
    "CTR_EL0": 0x9444C004,
    "ID_AA64PFR0_EL1": 0x1100000011110112,
    "ID_AA64MMFR0_EL1": 0x101122,
    "ID_AA64MMFR2_EL1": 0x1011,
    "CNTFRQ_EL0": 62_500_000,
}


def host(name: str, kernel: str | None = "7.2", view: View = View.GUEST, **changes: int) -> Host:
    cluster = Cluster("all", Cpu({**A76, **changes}))
    return Host(name, (cluster,), view, Hypervisor("KVM", kernel))


def forced(found: Common) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {one.place: (one.value, one.by) for one in found.forced}


@pytest.mark.rule("IDENT-29")
def test_a_field_is_what_all_take_and_who_forces_it_is_named() -> None:
    hosts = [
        host("a"),
        host("b", ID_AA64MMFR0_EL1=0x101121),
        host("c", ID_AA64MMFR0_EL1=0xF0101122, CTR_EL0=0x8444C003),
    ]
    found = common(hosts)
    assert found.impossible == found.unknown == ()
    assert forced(found) == {
        "ID_AA64MMFR0_EL1.TGran4": (0xF, ("c",)),
        "ID_AA64MMFR0_EL1.PARange": (1, ("b",)),
        "CTR_EL0.IDC": (0, ("c",)),
        "CTR_EL0.IminLine": (3, ("c",)),
        # KVM makes it of its host's CTR_EL0: a contract has to say which.
        "CLIDR_EL1": (0x09200003, ("c",)),
        "CCSIDR_EL1[1]": (2, ("a", "b")),
        **{f"CCSIDR_EL1[{selector}]": (2, ("a", "b")) for selector in range(1, 14, 2)},
    }
    assert found.contract.promised.registers["ID_AA64MMFR0_EL1"] == 0xF0101121
    assert all(check(found.contract, one).outcome <= Outcome.TRAP for one in hosts)


@pytest.mark.rule("IDENT-29")
def test_what_no_value_fits_is_impossible_and_left_out() -> None:
    found = common([host("a"), host("b", ID_AA64MMFR0_EL1=0x101102, CNTFRQ_EL0=25_000_000)])
    assert {one.place: one.values for one in found.impossible} == {
        "ID_AA64MMFR0_EL1.ASIDBits": (("a", 2), ("b", 0)),
        "CNTFRQ_EL0": (("a", 62_500_000), ("b", 25_000_000)),
    }
    assert not {"ID_AA64MMFR0_EL1", "CNTFRQ_EL0"} & found.contract.promised.registers.keys()
    # A host that cannot change a field forces its own value, where the other can stand for that.
    raised = common([host("a", "6.12", ID_AA64PFR0_EL1=0x1100000001110112), host("b")])
    assert forced(raised)["ID_AA64PFR0_EL1.RAS"] == (0, ("a",))
    lowered = common([host("a", ID_AA64PFR0_EL1=0x1100000001110112), host("b", "6.12")])
    assert [one.place for one in lowered.impossible] == ["ID_AA64PFR0_EL1.RAS"]


@pytest.mark.rule("IDENT-29")
def test_what_kvm_takes_and_changes_is_not_common() -> None:
    # PMUVer 15 is taken by all, and then 0.
    found = common([host("a", ID_AA64DFR0_EL1=0x10305408), host("b", ID_AA64DFR0_EL1=0x10305608)])
    assert forced(found) == {"ID_AA64DFR0_EL1.PMUVer": (4, ("a",))}


@pytest.mark.rule("IDENT-29")
def test_the_caches_are_those_that_the_common_ctr_makes() -> None:
    found = common([host("a", CTR_EL0=0x9444C004), host("b", CTR_EL0=0xA444C004)])
    assert found.contract.promised.registers["CTR_EL0"] == 0x8444C004
    assert forced(found)["CLIDR_EL1"] == (0x09200003, ("a", "b"))


@pytest.mark.rule("IDENT-29")
def test_which_cpu_it_is_can_be_chosen_with_the_capability() -> None:
    hosts = [host("a"), host("b", MIDR_EL1=0x413FD0C1, REVIDR_EL1=0xFF)]
    assert [one.place for one in common(hosts).impossible] == ["MIDR_EL1", "REVIDR_EL1"]
    found = common(hosts, implementation_ids=True)
    assert found.impossible == ()
    assert found.contract.promised.registers["MIDR_EL1"] == 0x413FD0C1
    assert found.contract.targets == (Implementation(0x413FD0C1, 0xFF, 0), Implementation(0x414FD0B1, 0, 0))
    assert found.contract.writable_implementation_ids
    assert all(check(found.contract, one).outcome <= Outcome.TRAP for one in hosts)
    assert [one.place for one in common([*hosts, host("c", "6.12")], implementation_ids=True).impossible] == [
        "MIDR_EL1",
        "REVIDR_EL1",
    ]


@pytest.mark.rule("IDENT-29")
def test_what_some_do_not_tell_is_unknown() -> None:
    less = replace(host("b"), clusters=(Cluster("all", Cpu({"MIDR_EL1": A76["MIDR_EL1"]})),))
    found = common([host("a"), less])
    assert "ID_AA64PFR0_EL1" in found.unknown
    assert dict(found.contract.promised.registers) == {"MIDR_EL1": A76["MIDR_EL1"]}
    with pytest.raises(HostError, match="no host is given"):
        common([])


@pytest.mark.rule("IDENT-29")
def test_every_cluster_counts() -> None:
    small = Cluster("small", Cpu({**A76, "ID_AA64MMFR0_EL1": 0x101120}))
    two = replace(host("two"), clusters=(Cluster("big", Cpu(A76)), small))
    found = common([two, host("one")])
    assert forced(found) == {"ID_AA64MMFR0_EL1.PARange": (0, ("two, small",))}
    assert found.contract.name == "common of one, two, big, two, small"


@pytest.mark.rule("IDENT-29")
def test_the_gic_of_all() -> None:
    five, seven = HostCapabilities(a3v=True), HostCapabilities(a3v=True, priority_bits=7, id_bits=24)
    found = common([host("a", ICH_VTR_EL2=five.to_vtr()), host("b", ICH_VTR_EL2=seven.to_vtr())])
    assert found.contract.gic is not None
    assert (found.contract.gic.priority_bits, found.contract.gic.id_bits, found.contract.gic.a3v) == (5, 16, True)
    other = HostCapabilities(a3v=False)
    differ = common([host("a", ICH_VTR_EL2=five.to_vtr()), host("b", ICH_VTR_EL2=other.to_vtr())])
    assert [one.place for one in differ.impossible] == ["ICC_CTLR_EL1.A3V"]
    assert common([host("a"), host("b")]).contract.gic is None
    old = common([replace(host("a"), gic=2), replace(host("b"), gic=3)])
    assert forced(old) == {"GIC": (2, ("a",))}


def values_of(name: str) -> st.SearchStrategy[int]:
    """Values that hosts have: few, so that some agree; and none that KVM refuses even of its own."""
    layout = REGISTERS[name].layout
    few: dict[str, st.SearchStrategy[int]] = {
        field.name: st.sampled_from([0, 1, 2, 3, (1 << field.width) - 1]).map(
            lambda value, width=field.width: value & (1 << width) - 1
        )
        for field in layout.fields
    }
    if name == "ID_AA64PFR0_EL1":
        few |= {level: st.sampled_from([1, 2]) for level in ("EL0", "EL1")}
    if name == "ID_AA64DFR0_EL1":
        few |= {"DebugVer": st.sampled_from([6, 8, 10]), "PMUVer": st.sampled_from([0, 4, 6])}
    if name == "CTR_EL0":
        few["L1Ip"] = st.sampled_from([2, 3])
    return st.fixed_dictionaries(few).map(layout.encode)


NAMES = [name for name in REGISTERS if name.startswith("ID_AA64") or name == "CTR_EL0"]


@st.composite
def fleets(draw: st.DrawFn) -> tuple[str, list[Host]]:
    name = draw(st.sampled_from(NAMES))
    kernels = st.sampled_from(["6.1", "6.12", "6.18", "7.2", None])
    hosts = [
        Host(
            f"h{number}",
            (Cluster("all", Cpu({name: draw(values_of(name))})),),
            draw(st.sampled_from([View.GUEST, View.GUEST, View.HARDWARE])),
            Hypervisor("KVM", draw(kernels)),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    return name, hosts


def about(contract: Contract, one: Host, name: str) -> list[Finding]:
    """What the engine says that knows: KVM of a host whose file tells what it shows, else the architecture."""
    [cluster] = check(contract, one).clusters
    knows = cluster.kvm if one.view is View.GUEST or name == "CTR_EL0" else cluster.contract
    return [finding for finding in knows if finding.register == name]


@pytest.mark.rule("IDENT-29")
@settings(max_examples=60, deadline=None)
@given(fleet=fleets(), data=st.data())
def test_all_take_it_nothing_is_stronger_and_order_is_nothing(
    fleet: tuple[str, list[Host]], data: st.DataObject
) -> None:
    name, hosts = fleet
    found = common(hosts)
    assert common(data.draw(st.permutations(hosts))) == found
    value = found.contract.promised.registers.get(name)
    if value is None:
        assert name in {one.register for one in found.impossible}
        return
    for one in hosts:
        assert all(finding.outcome <= Outcome.TRAP for finding in about(found.contract, one, name))
    register = REGISTERS[name]
    field = data.draw(st.sampled_from(register.layout.fields))
    safe, has = register.safe_values[field.name], field.extract(value)
    for stronger in range(min(1 << field.width, 64)):
        if stronger != has and safe.of(stronger, has, field.width) == has:
            more = replace(found.contract, promised=Cpu({name: value & ~field.mask | stronger << field.lsb}))
            told = [finding.outcome for one in hosts for finding in about(more, one, name)]
            assert max(told) > Outcome.WEAKER, (field.name, stronger)
