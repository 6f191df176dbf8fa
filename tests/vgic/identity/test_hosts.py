"""Hosts as data, and what differs between them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgic.identity import Cluster, Cpu, Host, HostError, Hypervisor, View, compare, compare_hosts, inside
from vgic.identity.compare import pairs

SMALL = Cpu(
    {"MIDR_EL1": 0x611F0380, "CCSIDR_EL1[0]": 0x700FE03A, "CCSIDR_EL1[1]": 0x203FE01A, "CCSIDR_EL1[2]": 0x70FFE07B}
)
BIG = Cpu(
    {"MIDR_EL1": 0x611F0390, "CCSIDR_EL1[0]": 0x701FE03A, "CCSIDR_EL1[1]": 0x203FE02A, "CCSIDR_EL1[2]": 0x73FFE07B}
)
M2 = Host(
    "M2",
    (Cluster("Blizzard", SMALL, 4), Cluster("Avalanche", BIG)),
    View.GUEST,
    Hypervisor("KVM", "6.12"),
    "a source",
    ("a note",),
    gic=3,
)


@pytest.mark.rule("IDENT-1")
def test_a_host_is_read_as_it_was_written() -> None:
    assert Host.from_json(M2.to_json()) == M2
    least = Host("h", (Cluster("all", Cpu({})),))
    assert Host.from_json(least.to_json()) == least
    assert least.clusters[0].cpu.registers.get("MIDR_EL1") is None


def changed(**entries: object) -> str:
    return json.dumps({**M2.document(), **entries})


def cluster(**entries: object) -> str:
    return changed(clusters=[{"name": "c", "registers": {}, **entries}])


@pytest.mark.rule("IDENT-1")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is no JSON: "),
        pytest.param("[" * 100_000, "is nested too deeply", id="deep"),
        ("[]", "the document: expected an object"),
        ('{"format": "vgic-host"}', "the document: 'clusters' is missing"),
        ('{"name": "a", "name": "b"}', "'name' is there twice in one object"),
        (changed(version=2), "format and version: expected 'vgic-host' and 1"),
        (changed(view="mine"), "view: 'mine' is none of hardware, guest, user"),
        (changed(view=[]), "view: expected a text"),
        (changed(gic=1), "gic: expected one of 2, 3, 4"),
        (changed(gic=[]), "gic: expected one of 2, 3, 4"),
        (changed(more=1), "the document: 'more' is unknown"),
        (changed(notes=[1]), "notes[0]: expected a text"),
        (changed(clusters={}), "clusters: expected a list"),
        (changed(clusters=[]), "M2: a host has CPUs, and this has none"),
        (changed(clusters=[1]), "clusters[0]: expected an object"),
        (changed(hypervisor={}), "hypervisor: 'name' is missing"),
        (changed(hypervisor={"name": "KVM", "version": 6}), "hypervisor.version: expected a text"),
        (cluster(count=0), "clusters[0].count: expected a number of CPUs"),
        (cluster(count=True), "clusters[0].count: expected a number of CPUs"),
        (cluster(registers=[]), "clusters[0].registers: expected an object"),
        (cluster(registers={"SCTLR_EL1": "0x1"}), "clusters[0].registers: SCTLR_EL1 is no identification register"),
        (
            cluster(registers={"MIDR_EL1": 1}),
            "clusters[0].registers.MIDR_EL1: expected a text of hexadecimal digits",
        ),
        (cluster(registers={"MIDR_EL1": "0x" + "1" * 17}), "clusters[0].registers.MIDR_EL1: expected a text"),
        (cluster(registers={"MIDR_EL1": "0x"}), "clusters[0].registers.MIDR_EL1: expected a text"),
    ],
)
def test_what_describes_no_host_is_refused_by_place(text: str, message: str) -> None:
    with pytest.raises(HostError) as refused:
        Host.from_json(text)
    assert str(refused.value).startswith(message)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["0x1", "hardware", "MIDR_EL1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*M2.document(), "registers"]), inner)
    ),
    max_leaves=8,
)


@pytest.mark.rule("IDENT-1")
@settings(max_examples=40, deadline=None)
@given(key=st.sampled_from([*M2.document()]), value=VALUES)
def test_no_document_does_more_than_be_refused(key: str, value: Any) -> None:
    try:
        host = Host.from_document({**M2.document(), key: value})
    except HostError:
        return
    assert Host.from_json(host.to_json()) == host


@pytest.mark.rule("IDENT-1")
def test_two_clusters_have_two_names() -> None:
    with pytest.raises(HostError, match="h: two clusters are called c"):
        Host("h", (Cluster("c", SMALL), Cluster("c", BIG)))
    with pytest.raises(HostError, match=r"MIDR_EL1: 0x1\d* does not fit into 64 bits"):
        Cpu({"MIDR_EL1": 1 << 64})


@pytest.mark.rule("IDENT-6")
def test_what_differs_inside_the_m2() -> None:
    found = {(item.register, item.field): item.values for item in inside(M2).differences}
    assert found == {
        ("MIDR_EL1", "PartNum"): (0x38, 0x39),
        ("CCSIDR_EL1[0]", "sets"): (128, 256),
        ("CCSIDR_EL1[1]", "ways"): (4, 6),
        ("CCSIDR_EL1[2]", "sets"): (2048, 8192),
    }


@pytest.mark.rule("IDENT-6")
def test_flags_of_a_cache_that_arm_took_back_are_no_difference() -> None:
    assert not compare([Cpu({"CCSIDR_EL1[0]": 0x700FE03A}), Cpu({"CCSIDR_EL1[0]": 0x200FE03A})]).differences


@pytest.mark.rule("IDENT-6")
def test_the_same_value_in_two_formats_is_two_caches() -> None:
    old, new = (
        Cpu({"CCSIDR_EL1[0]": 0xFE01A, "ID_AA64MMFR2_EL1": 0}),
        Cpu({"CCSIDR_EL1[0]": 0xFE01A, "ID_AA64MMFR2_EL1": 1 << 20}),
    )
    fields = {(item.register, item.field) for item in compare([old, new]).differences}
    assert fields == {("ID_AA64MMFR2_EL1", "CCIDX"), ("CCSIDR_EL1[0]", "sets"), ("CCSIDR_EL1[0]", "ways")}


@pytest.mark.rule("IDENT-6")
def test_what_one_alone_tells_is_unknown_and_no_difference() -> None:
    comparison = compare([Cpu({"MIDR_EL1": 1, "MPIDR_EL1": 0}), Cpu({"CTR_EL0": 2, "MPIDR_EL1": 1})])
    assert comparison.compared == comparison.differences == ()
    assert comparison.unknown == ("MIDR_EL1", "CTR_EL0")
    assert inside(Host("h", (Cluster("a", SMALL),))).differences == ()


@pytest.mark.rule("IDENT-2", "IDENT-6")
def test_a_difference_tells_what_is_safe_for_all() -> None:
    cpus = [Cpu({"ID_AA64MMFR1_EL1": value}) for value in (0x0100_0002, 0x0000_0001, 0x0000_0000)]
    found = {item.field: (item.values, item.safe) for item in compare(cpus).differences}
    assert found == {"SpecSEI": ((1, 0, 0), 1), "HAFDBS": ((2, 1, 0), 0)}
    [unnamed] = compare([Cpu({"ID_AFR0_EL1": 1}), Cpu({"ID_AFR0_EL1": 2})]).differences
    assert (unnamed.field, unnamed.values, unnamed.safe) == ("", (1, 2), None)
    [reserved] = compare([Cpu({"DCZID_EL0": 4}), Cpu({"DCZID_EL0": 0x104})]).differences
    assert (reserved.field, reserved.values) == ("reserved", (0, 0x100))


@pytest.mark.rule("IDENT-7")
def test_a_host_does_not_differ_from_itself_in_whichever_order() -> None:
    turned = Host("turned", M2.clusters[::-1])
    for other in (M2, turned):
        found = compare_hosts(M2, other)
        assert [(pair.a.name, pair.b.name) for pair in found] == [("Blizzard",) * 2, ("Avalanche",) * 2]
        assert not any(pair.comparison.differences for pair in found)


@pytest.mark.rule("IDENT-7")
def test_clusters_that_are_left_over_are_compared_with_what_is_left() -> None:
    def named(*clusters: tuple[str, int | None]) -> list[Cluster]:
        return [Cluster(name, Cpu({} if midr is None else {"MIDR_EL1": midr})) for name, midr in clusters]

    def of(a: list[Cluster], b: list[Cluster]) -> list[tuple[str, str]]:
        return [(one.name, other.name) for one, other in pairs(a, b)]

    a = named(("a1", 1), ("a2", 2), ("a3", 3))
    assert of(a, named(("b3", 3), ("b4", 4))) == [("a3", "b3"), ("a1", "b4"), ("a2", "b4")]
    assert of(a, named(("b1", 1), ("b2", 2)))[2:] == [("a3", "b1"), ("a3", "b2")]
    assert of(named(("x", None)), named(("y", None), ("z", None))) == [("x", "y"), ("x", "z")]
