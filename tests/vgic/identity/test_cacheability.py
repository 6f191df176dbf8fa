"""What a KVM host makes of a guest's accesses, and two hosts compared."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.identity import Cpu
from vgic.identity.cacheability import (
    Agent,
    Event,
    Maintenance,
    Stage2,
    boot_loader,
    cacheability_findings,
    kvm_memattr,
    maintenance,
    under_kvm,
    visibility,
)
from vgic.identity.finding import Cost, Finding, Outcome, worst
from vgic.identity.memory_types import (
    Access,
    Attributes,
    Cacheability,
    DeviceType,
    Hcr,
    Sctlr,
    Shareability,
    combined,
    device,
    normal,
)

NC, WT, WB = Cacheability
ON = Sctlr.M | Sctlr.C | Sctlr.I
PAGE = Path(__file__).parents[3] / "specs" / "memory.md"


def cpu(fwb: int | None, **registers: int) -> Cpu:
    return Cpu(registers if fwb is None else {"ID_AA64MMFR2_EL1": 0x1011 | fwb << 40, **registers})


def found(
    promised: int | None, host: int | None, coherent_dma: bool | None = None, **registers: int
) -> dict[str, Finding]:
    findings = cacheability_findings(cpu(promised), cpu(host, **registers), coherent_dma=coherent_dma)
    return {finding.place: finding for finding in findings}


def outcomes(promised: int | None, host: int | None, coherent_dma: bool | None = None) -> dict[str, Outcome]:
    return {place: finding.outcome for place, finding in found(promised, host, coherent_dma).items()}


@pytest.mark.rule("IDENT-66")
def test_the_memattr_that_kvm_uses() -> None:
    used = {kind: tuple(kvm_memattr(kind, fwb=fwb) for fwb in (False, True)) for kind in Stage2}
    assert used == {
        Stage2.NORMAL: (0xF, 6),
        Stage2.NON_CACHEABLE: (5, 5),
        Stage2.DEVICE: (1, 1),
        Stage2.AS_STAGE_1: (0xF, 7),
    }


@pytest.mark.rule("IDENT-66")
def test_what_a_guests_accesses_are_on_kvm() -> None:
    def kinds(mapped: Attributes | None, sctlr: int, mapping: Stage2 = Stage2.NORMAL) -> list[str]:
        return [under_kvm(mapped, Access.DATA, sctlr, fwb=fwb, mapping=mapping).kind for fwb in (False, True)]

    assert kinds(None, 0) == ["Device-nGnRnE", "Normal WB"]
    assert kinds(normal(NC), ON) == ["Normal NC", "Normal WB"]
    assert kinds(normal(WB), ON) == ["Normal WB", "Normal WB"]
    assert kinds(normal(WB), ON & ~Sctlr.C) == ["Normal NC", "Normal WB"]
    assert kinds(device(DeviceType.GRE), ON) == ["Device-GRE", "Normal WB"]
    assert kinds(normal(NC), ON, Stage2.AS_STAGE_1) == ["Normal NC", "Normal NC"]
    assert kinds(normal(WB), ON, Stage2.NON_CACHEABLE) == ["Normal NC", "Normal NC"]
    assert kinds(device(DeviceType.GRE), ON, Stage2.NON_CACHEABLE) == ["Device-GRE", "Device-GRE"]
    assert kinds(normal(WB), ON, Stage2.DEVICE) == ["Device-nGnRE", "Device-nGnRE"]
    fetched = [under_kvm(None, Access.FETCH, sctlr, fwb=False).kind for sctlr in (0, Sctlr.I)]
    assert fetched == ["Normal NC", "Normal WT"]


@pytest.mark.rule("IDENT-66")
def test_the_maintenance_that_kvm_does() -> None:
    page, whole, unmap = Maintenance.CLEAN_PAGE, Maintenance.CLEAN_ALL, Maintenance.UNMAP_ALL
    instructions, trap = Maintenance.INVALIDATE_INSTRUCTIONS, Maintenance.TRAP
    # Without FWB and DIC, with DIC, with FWB, with both.
    assert {
        event: [maintenance(event, fwb=fwb, dic=dic) for fwb in (False, True) for dic in (False, True)]
        for event in Event
    } == {
        Event.MAPPED: [(page,), (page,), (), ()],
        Event.MAPPED_EXECUTABLE: [(page, instructions), (page,), (instructions,), ()],
        Event.UNMAPPED: [(page,), (page,), (), ()],
        Event.SWITCHED: [(whole,), (whole,), (), ()],
        Event.SET_WAY: [(whole, trap), (whole, trap), (), ()],
        Event.RESET: [(unmap, trap), (unmap, trap), (instructions,), ()],
    }


@pytest.mark.rule("IDENT-66")
@given(st.sampled_from(Event), st.booleans())
def test_what_is_forced_into_the_caches_needs_no_cleaning(event: Event, dic: bool) -> None:
    assert set(maintenance(event, fwb=True, dic=dic)) <= {Maintenance.INVALIDATE_INSTRUCTIONS}
    assert set(maintenance(event, fwb=False, dic=dic)) - {Maintenance.INVALIDATE_INSTRUCTIONS}


@pytest.mark.rule("IDENT-67")
def test_hosts_that_type_memory_alike_are_the_same() -> None:
    for fwb, coherent in product((0, 1), (None, False, True)):
        assert outcomes(fwb, fwb, coherent) == {"memory with the MMU off": Outcome.SAME}
    # A later version of FWB forces as the first does.
    assert outcomes(1, 2) == {"memory with the MMU off": Outcome.SAME}


@pytest.mark.rule("IDENT-67")
def test_what_nobody_has_told_of_fwb_is_unknown() -> None:
    place = "ID_AA64MMFR2_EL1.FWB"
    for promised, host, remedy in (
        (None, 1, "tell ID_AA64MMFR2_EL1 of what the guest was shown"),
        (0, None, "tell ID_AA64MMFR2_EL1 of the host"),
        (None, None, "tell ID_AA64MMFR2_EL1 of what the guest was shown and of the host"),
    ):
        [finding] = found(promised, host, coherent_dma=True).values()
        assert (finding.place, finding.outcome, finding.remedy) == (place, Outcome.UNKNOWN, remedy)
        assert (finding.guest, finding.host) == (promised, host)


@pytest.mark.rule("IDENT-66", "IDENT-67")
def test_onto_a_host_that_forces_nothing() -> None:
    moved = found(1, 0, coherent_dma=False)
    assert {place: finding.outcome for place, finding in moved.items()} == {
        "memory with the MMU off": Outcome.LEAK,
        "cache maintenance": Outcome.TRAP,
    }
    assert "were Normal WB and are Device-nGnRnE here" in moved["memory with the MMU off"].why
    assert moved["cache maintenance"].traps == ("HCR_EL2.TVM",)
    assert moved["cache maintenance"].cost is Cost.RARE


@pytest.mark.rule("IDENT-67", "IDENT-68")
def test_onto_a_host_that_forces_write_back() -> None:
    memory = {"memory with the MMU off": Outcome.LEAK}
    assert outcomes(0, 1, coherent_dma=True) == memory
    assert outcomes(0, 1, coherent_dma=False) == {**memory, "DMA": Outcome.REFUSED}
    assert outcomes(0, 1) == {**memory, "DMA": Outcome.UNKNOWN}
    moved = found(0, 1, coherent_dma=False)
    assert "were Device-nGnRnE and are Normal WB here" in moved["memory with the MMU off"].why
    assert "MemAttr 0b111, as stage 1 has them" in moved["DMA"].remedy


@pytest.mark.rule("IDENT-68")
def test_what_a_cpu_and_a_device_see_of_each_other() -> None:
    def seen(attributes: Attributes) -> dict[Agent, tuple[bool, bool]]:
        return {agent: visibility(attributes, agent) for agent in Agent}

    bypassing, coherent, emulated = Agent
    around = {bypassing: (True, True), coherent: (True, True), emulated: (False, False)}
    for attributes in (device(DeviceType.nGnRnE), device(DeviceType.GRE), normal(NC)):
        assert seen(attributes) == around
    for attributes in (normal(WB), normal(WB, NC), normal(NC, WB), normal(WT, WB)):
        assert seen(attributes) == {bypassing: (False, False), coherent: (True, True), emulated: (True, True)}
    for attributes in (normal(WT), normal(WT, NC)):
        assert seen(attributes) == {bypassing: (True, False), coherent: (True, True), emulated: (True, True)}


@pytest.mark.rule("IDENT-68")
def test_a_boot_loader_that_drives_a_device() -> None:
    sees = {
        agent: [all(boot_loader(agent, fwb=fwb, dc=dc)) for fwb in (False, True) for dc in (False, True)]
        for agent in Agent
    }
    # Without both, with DC, with FWB, with both.
    assert sees == {
        Agent.NON_COHERENT: [True, False, False, False],
        Agent.COHERENT: [True, True, True, True],
        Agent.EMULATED: [False, True, True, True],
    }
    # What the remedy of a finding says: memory as stage 1 has it is seen, with FWB too.
    kept = under_kvm(None, Access.DATA, 0, fwb=True, mapping=Stage2.AS_STAGE_1)
    assert visibility(kept, Agent.NON_COHERENT) == (True, True)


@pytest.mark.rule("IDENT-68")
def test_a_refusal_is_where_a_device_is_cut_off() -> None:
    for promised, host, agent in product((0, 1), (0, 1), (Agent.NON_COHERENT, Agent.COHERENT)):
        buffer = {fwb: under_kvm(normal(NC), Access.DATA, ON, fwb=bool(fwb)) for fwb in (0, 1)}
        before, after = (all(visibility(buffer[fwb], agent)) for fwb in (promised, host))
        verdict = worst(found(promised, host, coherent_dma=agent is Agent.COHERENT).values())
        assert (verdict is Outcome.REFUSED) == (before and not after)


@pytest.mark.rule("IDENT-69")
def test_a_host_that_contradicts_itself_is_told() -> None:
    # LoUU and LoUIS 1; CLIDR_EL1 as KVM makes it; that of an A72, without FWB.
    told = found(1, 1, CLIDR_EL1=0x09200003)
    assert {place for place, finding in told.items() if finding.outcome is Outcome.UNKNOWN} == {
        "CLIDR_EL1.LoUU",
        "CLIDR_EL1.LoUIS",
    }
    assert worst(found(1, 1, CLIDR_EL1=0x02000021).values()) is Outcome.SAME
    assert worst(found(0, 0, CLIDR_EL1=0x0A200023).values()) is Outcome.SAME
    assert set(found(1, 1, CLIDR_EL1=0x00200000)) == {"CLIDR_EL1.LoUIS", "memory with the MMU off"}


STAGE_1 = [*map(device, DeviceType), normal(NC), normal(WT), normal(WB)]


def columns(heading: str, rows: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    width = heading.count("|") + 1
    return ["| " + " | ".join(cells) + " |" for cells in [heading.split("|"), ["---"] * width, *rows]]


def short(attributes: Attributes | None) -> str:
    if attributes is None:
        return "reserved"
    if attributes.device is not None:
        return attributes.device.name
    levels = (attributes.outer.name, attributes.inner.name)
    return levels[0] if levels[0] == levels[1] else f"o{levels[0]} i{levels[1]}"


def yes(seen: bool) -> str:
    return "yes" if seen else "no"


def page_tables() -> list[list[str]]:
    """The tables of specs/memory.md, in their order, as the code computes them."""
    firsts = "|".join(short(first) for first in STAGE_1)
    combinations = [
        [
            [f"{value:04b}"] + [short(combined(first, value, Shareability.INNER, fwb=fwb)) for first in STAGE_1]
            for value in values
        ]
        for fwb, values in ((False, range(16)), (True, range(8)))
    ]
    shares = [
        [
            first.name,
            *(
                combination.shareability.name
                for second in Shareability
                if (combination := combined(normal(WB, shareability=first), 0b1111, second, fwb=False))
            ),
        ]
        for first in Shareability
    ]
    off = [
        [
            access.value,
            "either" if access is Access.DATA else yes(bool(sctlr)),
            *(
                f"{under_kvm(None, access, sctlr, fwb=fwb, hcr=hcr)}"
                for fwb, hcr in ((False, Hcr(0)), (False, Hcr.DC), (True, Hcr(0)))
            ),
        ]
        for access in Access
        for sctlr in (Sctlr(0), Sctlr.I)
        if access is Access.FETCH or not sctlr
    ]
    loaders = [
        [agent.value]
        + [
            yes(all(boot_loader(agent, fwb=fwb, dc=dc)))
            for fwb, dc in ((False, False), (False, True), (True, False))
        ]
        for agent in Agent
    ]
    done = [
        [event.value]
        + [
            "; ".join(one.value for one in maintenance(event, fwb=fwb, dic=False)) or "nothing"
            for fwb in (False, True)
        ]
        for event in Event
    ]
    return [
        columns(f"MemAttr|{firsts}", combinations[0]),
        columns(f"MemAttr|{firsts}", combinations[1]),
        columns("|" + "|".join(word.name for word in Shareability), shares),
        columns("access|SCTLR_EL1.I|without FWB|without FWB, HCR_EL2.DC set|with FWB", off),
        columns("a boot loader and|without FWB|without FWB, HCR_EL2.DC set|with FWB", loaders),
        columns("when|without FWB|with FWB", done),
    ]


@pytest.mark.rule("IDENT-60", "IDENT-62", "IDENT-63", "IDENT-64", "IDENT-66", "IDENT-68")
def test_the_page_of_tables_is_what_the_code_computes() -> None:
    lines = PAGE.read_text().splitlines()
    tables: list[list[str]] = []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            if not before.startswith("|"):
                tables.append([])
            tables[-1].append(line)
    assert tables == page_tables()
