"""What the order check says of a sequence as a whole: what it leaves out, and what it names twice."""

from random import Random

import pytest

import vgic
from its_driver import ItsDriver
from vgic import affinity
from vgic.kvm import (
    Address,
    BlankRam,
    Control,
    CreateVcpu,
    Group,
    ItsAddress,
    OrderCheck,
    SetAttr,
    SetItsAttr,
    SetMpidr,
    Step,
    VgicV3Device,
    register_attr,
    save_sequence,
)
from vgic.layouts import gicd, gicr, gits
from vgic_tools.kvm_order import check_log, format_step

CPUS, SPIS, ITSES = 3, 64, 2
IROUTER_WORDS = range(gicd.IROUTER.offset, gicd.IROUTER.offset + 8 * SPIS, 8)


def saved(cpus: int = CPUS, itses: int = ITSES) -> list[Step]:
    """What carries a VM over whose guest has done nothing yet."""
    device = VgicV3Device(memory=BlankRam())
    for _ in range(cpus):
        device.create_vcpu()
    for _ in range(itses):
        device.create_its()
    device.set_attr(Group.NR_IRQS, 0, 32 + SPIS)
    device.set_attr(Group.ADDR, Address.DIST, 0x0800_0000)
    for index, (base, count) in enumerate(((0x0900_0000, 1), (0x0A00_0000, cpus - 1))):
        device.set_attr(Group.ADDR, Address.REDIST_REGION, count << 52 | base | index)
    device.set_attr(Group.CTRL, Control.INIT)
    for number, its in enumerate(device.itses):
        its.set_attr(Group.ADDR, ItsAddress.ITS, 0x0808_0000 + number * 0x2_0000)
    return save_sequence(device)


def found(steps: list[Step]) -> list[str]:
    """The findings, without their line."""
    check = OrderCheck(VgicV3Device(memory=BlankRam()))
    findings = [finding for line, step in enumerate(steps, 1) for finding in check.feed(line, step)]
    findings += check.finish(len(steps))
    return [f"{finding.verdict.value}: {finding.message}" for finding in findings]


def names(step: Step, group: Group, cpu: int) -> bool:
    return isinstance(step, SetAttr) and step.group == group and step.attr >> 32 == affinity.to_kvm_key(cpu) >> 32


def of_register(step: Step, group: Group, offsets: range) -> bool:
    return isinstance(step, SetAttr) and step.group == group and step.attr & 0xFFFF_FFFF in offsets


AS_AFTER_RESET = "they are as after reset"
PRIVATE = (Group.REDIST_REGS, Group.CPU_SYSREGS)


@pytest.mark.rule("KVM-41")
def test_a_sequence_that_names_everything_once_leaves_nothing_out() -> None:
    assert found(saved()) == []


@pytest.mark.rule("KVM-41")
@pytest.mark.parametrize("groups", [PRIVATE[:1], PRIVATE[1:], (*PRIVATE, Group.LEVEL_INFO)])
def test_a_vcpu_that_is_never_named_and_one_that_is_named_twice(groups: tuple[Group, ...]) -> None:
    """As when the loop over the vCPUs has the wrong one in it."""
    wrong: list[Step] = []
    for step in saved():
        mine = isinstance(step, SetAttr) and step.group in groups and not (step.group == 7 and step.attr & 0x3E0)
        if isinstance(step, SetAttr) and mine and step.attr >> 32 == 1:
            wrong.append(step._replace(attr=step.attr & 0xFFFF_FFFF))
        else:
            wrong.append(step)
    text = found(wrong)
    assert sum("vCPU 1 (0.0.0.1)" in line and line.startswith("missing: ") for line in text) in (1, len(groups))
    assert sum("vCPU 0 (0.0.0.0)" in line and line.startswith("repeated: ") for line in text) == 1
    assert not any("vCPU 2" in line for line in text)


@pytest.mark.rule("KVM-41")
def test_the_two_findings_of_a_short_log() -> None:
    log = """\
create_vcpu
create_vcpu
set ADDR 2 0x08000000
set CTRL 0
set DIST_REGS 0x8 0x4b00343b
set REDIST_REGS 0x0000000000010100 0x1
set REDIST_REGS 0x0000000000010100 0x1
"""
    assert [str(finding) for finding in check_log(log.splitlines())] == [
        "line 7: repeated: vCPU 0 (0.0.0.0): GICR_ISENABLER0 is written again, as in line 6; others of the kind"
        " are not",
        "line 7: missing: vCPU 1 (0.0.0.1) is never named: they are as after reset",
    ]
    both = log.replace("0x0000000000010100 0x1\n", "0x0000000100010100 0x1\n", 1)
    assert check_log(both.splitlines()) == []
    twice_each = [*log.splitlines(), *both.splitlines()[-2:-1], *both.splitlines()[-2:-1]]
    twice_each[-1] = twice_each[-2] = "set REDIST_REGS 0x0000000100010100 0x1"
    assert check_log(twice_each) == []


@pytest.mark.rule("KVM-41")
def test_a_vcpu_whose_mpidr_alone_is_not_written() -> None:
    steps = [CreateVcpu() if isinstance(step, CreateVcpu) else step for step in saved()]
    assert found(steps) == []
    once = [*steps[:CPUS], SetMpidr(0, 0x8000_0000), SetMpidr(0, 0x8000_0000), SetMpidr(2, 0x8000_0002)]
    assert found([*once, *steps[CPUS:]]) == [
        "repeated: vCPU 0 (0.0.0.0): MPIDR_EL1 is written again, as in line 4; others of the kind are not",
        "missing: vCPU 1 (0.0.0.1): MPIDR_EL1 is never written, other vCPUs' are: KVM's own affinity stays",
    ]


@pytest.mark.rule("KVM-41")
@pytest.mark.parametrize(
    ("group", "offsets", "message"),
    [
        (Group.DIST_REGS, range(0, 4, 4), f"DIST_REGS: GICD_CTLR is never written: {AS_AFTER_RESET}"),
        (
            Group.DIST_REGS,
            range(0x108, 0x10C, 4),
            f"GICD_ISENABLER2 is never written, others of the kind are: {AS_AFTER_RESET}",
        ),
        (
            Group.DIST_REGS,
            range(0xC00, 0xD00, 4),
            f"DIST_REGS: GICD_ICFGR2, GICD_ICFGR3, GICD_ICFGR4 and 1 other are never written: {AS_AFTER_RESET}",
        ),
        (
            Group.DIST_REGS,
            range(0x6108, 0x6110, 8),
            f"GICD_IROUTER33 [31:0] is never written, others of the kind are: {AS_AFTER_RESET}",
        ),
        (
            Group.LEVEL_INFO,
            range(0x40, 0x41),
            "LEVEL_INFO info 0 of INTIDs 64 to 95 is never written, others of the kind are: lines that were high"
            " are low",
        ),
        (Group.LEVEL_INFO, range(0x400), "LEVEL_INFO: nothing is written: lines that were high are low"),
        (Group.CPU_SYSREGS, range(0x1_0000), f"CPU_SYSREGS: nothing is written: {AS_AFTER_RESET}"),
        (Group.CPU_SYSREGS, range(0xC230, 0xC231), f"CPU_SYSREGS: ICC_PMR_EL1 is never written: {AS_AFTER_RESET}"),
        (Group.REDIST_REGS, range(0x2_0000), f"REDIST_REGS: nothing is written: {AS_AFTER_RESET}"),
        (Group.REDIST_REGS, range(0x4), f"REDIST_REGS: GICR_CTLR is never written: {AS_AFTER_RESET}"),
    ],
)
def test_registers_that_no_one_writes(group: Group, offsets: range, message: str) -> None:
    steps = [step for step in saved() if not of_register(step, group, offsets)]
    assert found(steps) == [f"missing: {message}"]


@pytest.mark.rule("KVM-41")
def test_words_of_spis_written_twice() -> None:
    """As when the loop over the words does not count."""
    steps = [
        step._replace(attr=0x104) if isinstance(step, SetAttr) and step[:2] == (1, 0x108) else step
        for step in saved()
    ]
    assert [line.partition(" as in")[0] for line in found(steps)] == [
        "repeated: GICD_ISENABLER1 is written again,",
        f"missing: GICD_ISENABLER2 is never written, others of the kind are: {AS_AFTER_RESET}",
    ]


@pytest.mark.rule("KVM-41")
def test_what_this_vm_cannot_have_need_not_be_written() -> None:
    def needed(step: Step) -> bool:
        if isinstance(step, SetItsAttr):
            return step.attr not in range(0x110, 0x140) and step[1:3] != (Group.ITS_REGS, gits.IIDR.offset)
        return not (
            of_register(step, Group.DIST_REGS, range(0x6104, 0x6400, 8))
            or of_register(step, Group.DIST_REGS, range(0x180, 0x200))
            or of_register(step, Group.DIST_REGS, range(0x380, 0x400))
            or of_register(step, Group.REDIST_REGS, range(0x14, 0x18))
            or of_register(step, Group.REDIST_REGS, range(0x1_0C00, 0x1_0C08))
            or of_register(step, Group.CPU_SYSREGS, range(vgic.ICC_SRE_EL1, vgic.ICC_SRE_EL1 + 1))
            # One for all.
            or (of_register(step, Group.REDIST_REGS, range(0x70, 0x78)) and not names(step, Group.REDIST_REGS, 0))
        )

    steps = saved()
    few = [step for step in steps if needed(step)]
    assert len(few) < len(steps) - 90
    assert found(few) == []
    lpis = (range(0x4), range(0x70, 0x80))
    without = saved(itses=0)
    assert (
        found([s for s in without if not any(of_register(s, Group.REDIST_REGS, offsets) for offsets in lpis)]) == []
    )


@pytest.mark.rule("KVM-41")
def test_where_there_is_no_room() -> None:
    steps = [
        step for step in saved() if not (isinstance(step, SetAttr) and step[:1] == (0,) and step.value & 0xFFF)
    ]
    assert found(steps) == [
        f"missing: vCPU {cpu} (0.0.0.{cpu}) has no Redistributor, no region has room for it: no vCPU can run"
        " (ENXIO)"
        for cpu in (1, 2)
    ]
    steps = [step for step in saved() if step[:2] != (Group.ADDR, Address.DIST)]
    assert found(steps) == ["missing: the Distributor has no address: no vCPU can run (ENXIO)"]


@pytest.mark.rule("KVM-41", "KVM-56")
def test_an_its_that_is_left_out() -> None:
    steps = saved()

    def without(its: int, *calls: tuple[int, int]) -> list[str]:
        return found(
            [
                step
                for step in steps
                if not (isinstance(step, SetItsAttr) and step.its == its and (not calls or step[1:3] in calls))
            ]
        )

    assert without(1) == ["missing: ITS 1 has no address: no guest finds it"]
    registers = [(Group.ITS_REGS, offset) for offset in range(0, 0x140, 4)]
    assert without(1, *registers) == [f"missing: ITS 1 is never named: {AS_AFTER_RESET}"]
    assert without(0, (Group.ITS_REGS, gits.CBASER.offset)) == [
        f"missing: ITS 0: GITS_CBASER is never written, other ITSes' are: {AS_AFTER_RESET}"
    ]
    assert without(0, (Group.CTRL, 2)) == ["missing: ITS 0 has registers, but no RESTORE_TABLES: nothing is mapped"]
    both = [step for step in steps if not (isinstance(step, SetItsAttr) and step.group == Group.ITS_REGS)]
    assert found(both) == [f"missing: ITS_REGS: nothing is written: {AS_AFTER_RESET}"]
    twice = [step._replace(its=0) if isinstance(step, SetItsAttr) and step.its == 1 else step for step in steps]
    assert [line.partition(":")[0] for line in found(twice)].count("repeated") == 1


@pytest.mark.rule("KVM-41")
def test_a_sequence_that_restores_nothing_leaves_nothing_out() -> None:
    assert check_log(["", "# nothing"]) == []
    assert check_log(["create_vcpu", "create_vcpu 0x80000001", "set CTRL 0", "set DIST_REGS 0x8 0x4b00343b"]) == []


@pytest.mark.rule("KVM-41")
def test_the_revision_and_the_levels_of_pending_interrupts() -> None:
    log = ["create_vcpu", "set NR_IRQS 0 64", "set CTRL 0", "set DIST_REGS 0x204 1"]
    assert [str(finding) for finding in check_log(log)] == [
        "line 4: missing: GICD_IIDR is never written: the VM gets the newest revision, whatever it had before",
        "line 4: missing: LEVEL_INFO: nothing is written: lines that were high are low",
    ]


# What the façade itself saves.


def random_vm(random: Random) -> tuple[VgicV3Device, int]:
    """A VM in any stage of its guest's life, and how many of its vCPUs have enabled their LPIs."""
    affinities = [affinity.pack(0, *(random.choice((0, 0, 1, 255)) for _ in range(2)), cpu) for cpu in range(4)]
    random.shuffle(affinities)
    cpus = random.randint(1, 4)
    itses = random.choice((0, 1, 1, 2))
    config = vgic.Config(
        vgic.Topology(affinities[:cpus]),
        spis=32 * random.randint(1, 4),
        profile=vgic.KVM,
        its=tuple(0x0808_0000 + number * 0x2_0000 for number in range(itses)),
        redistributor_regions=(vgic.RedistributorRegion(0x0A00_0000, 8),),
    )
    ram = vgic.Ram.zeroed(0x4000_0000, 0x40_0000)
    gic = vgic.Gic(config, memory=ram)
    enabled = 0
    for _ in range(random.choice((0, 20))):
        cpu, value = random.randrange(cpus), random.choice((random.getrandbits(64), 0, 1 << random.randrange(64)))
        base, register = random.choice(
            (
                (gic.config.gicd_base, random.choice(gicd.GICD)),
                (gic.redistributor_bases[cpu], random.choice(gicr.RD_BASE)),
                (gic.redistributor_bases[cpu] + 0x1_0000, random.choice(gicr.SGI_BASE)),
            )
        )
        element = random.randrange(register.count)
        gic.write(base + register.offset + element * register.stride, register.width // 8, value)
        gic.sysreg_write(cpu, random.choice((vgic.ICC_CTLR_EL1, vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1)), value)
    if itses and random.random() < 0.5:
        driver = ItsDriver(gic, ram)
        if random.random() < 0.5:
            driver.start()
            driver.map_device(0x10, events=4)
            driver.map_event(0x10, 3, cpu=random.randrange(cpus))
            gic.msi(0x10, 3)
        else:
            driver.start_cpus()
            driver.start_lpis()
            driver.enable_lpis(random.randrange(cpus), enabled=False)
    if itses:
        enabled = sum(gic.lpis(cpu).enabled for cpu in range(cpus))
    return VgicV3Device.over(gic), enabled


@pytest.mark.rule("KVM-38", "KVM-40", "KVM-41")
def test_what_the_facade_saves_of_any_vm_is_complete_and_loses_nothing() -> None:
    seen = set()
    for seed in range(40):
        device, enabled = random_vm(Random(seed))
        cpus, itses = len(device.vcpus), len(device.itses)
        seen.add((itses > 0, enabled > 0, 0 < enabled < cpus))
        memory = device.gic.memory
        log = [format_step(step) for step in save_sequence(device)]
        assert check_log(log, device=VgicV3Device(memory=memory)) == [], seed
    # LPIs are there or not, enabled nowhere, everywhere, and at some vCPUs only.
    assert {(False, False, False), (True, False, False), (True, True, False), (True, True, True)} <= seen


@pytest.mark.rule("KVM-38")
@pytest.mark.parametrize("itses", [1, 2])
def test_a_guest_that_has_not_set_up_its_lpis_loses_nothing(itses: int) -> None:
    """GICR_PROPBASER may be 0, a cacheability that KVM does not store when it is written."""
    bases = tuple(0x0C00_0000 + number * 0x2_0000 for number in range(itses))
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(3), profile=vgic.KVM, its=bases))
    gic.lpis(0).propbaser = 0
    steps = save_sequence(VgicV3Device.over(gic))
    assert SetAttr(Group.REDIST_REGS, register_attr(1, gicr.PROPBASER.offset), 0) in steps
    assert found(steps) == []


@pytest.mark.rule("KVM-38")
@pytest.mark.parametrize(
    ("register", "bits", "lost"),
    [
        # RES0, which KVM does not keep; cacheability and shareability that it has not got.
        (gicr.PROPBASER.offset, 1 << 6, False),
        (gicr.PENDBASER.offset, 0xF000, False),
        (gicr.PENDBASER.offset, 2 << 10, False),
        # The queue lies at a multiple of 64 KiB.
        (gits.CBASER.offset, 1 << 63 | 0x1000, True),
        (gits.CBASER.offset, 1 << 63 | 2 << 10, False),
        (gits.CBASER.offset, 0x1000, False),
        # A flat table of collections.
        (gits.BASER.offset + 8, 1 << 63 | 1 << 62, True),
        (gits.BASER.offset + 8, 1 << 63 | 1 << 53, False),
    ],
)
def test_what_differs_is_lost_where_it_means_something(register: int, bits: int, lost: bool) -> None:
    its = register >= gits.CBASER.offset
    group = Group.ITS_REGS if its else Group.REDIST_REGS
    steps = [
        step._replace(value=step.value | bits)
        if isinstance(step, SetItsAttr if its else SetAttr) and step[-3:-1] == (group, register)
        else step
        for step in saved(cpus=2, itses=1)
    ]
    assert [line.partition(":")[0] for line in found(steps)] == (["lost"] if lost else [])
