"""What the order check says of a VMM's log, line by line."""

import doctest

import pytest

import vgic
from kvm_its import ItsVm, new_device
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import (
    BlankRam,
    CreateIts,
    CreateVcpu,
    Group,
    ItsAddress,
    ItsControl,
    SetAttr,
    SetItsAttr,
    SetMpidr,
    Verdict,
    VgicV3Device,
    save_sequence,
)
from vgic_tools import kvm_order
from vgic_tools.errors import UsageError
from vgic_tools.kvm_order import check_log, format_step, read_log

MACHINE = """\
create_vcpu                       # 0.0.0.0
create_vcpu                       # 0.0.0.1
set NR_IRQS 0 96
set ADDR 2 0x08000000
set ADDR 5 0x00200000080a0000     # two redistributors
set CTRL 0
set DIST_REGS 0x8 0x4b00343b
"""
FIRST = 8
"""The line that follows."""


COMPLETENESS = (Verdict.MISSING, Verdict.REPEATED)
"""What is said of a sequence as a whole: see test_kvm_completeness."""


def findings(log: str, device: VgicV3Device | None = None) -> list[str]:
    """What is wrong with the calls one by one."""
    found = check_log((MACHINE + log).splitlines(), device=device)
    return [str(finding) for finding in found if finding.verdict not in COMPLETENESS]


@pytest.mark.rule("KVM-37", "KVM-38", "KVM-39", "KVM-40", "KVM-41")
def test_a_sequence_in_kvms_own_order_has_no_findings() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.from_text(["0.0.0.0", "7.0.0.1"]), profile=vgic.KVM, a3v=True))
    gic.spi(40).set_level(True)
    gic.write(0x0800_0204, 4, 0xFF)
    lines = [format_step(step) for step in save_sequence(VgicV3Device.over(gic))]
    assert check_log(lines, device=VgicV3Device(HostCapabilities(a3v=False), a3v=True)) == []


@pytest.mark.rule("KVM-36", "KVM-56")
def test_a_sequence_with_an_its_in_kvms_own_order_has_no_findings() -> None:
    vm = ItsVm(itses=2)
    driver = vm.driver()
    driver.map_device(0x10, events=4)
    driver.map_event(0x10, 3, cpu=1)
    vm.gic.msi(0x10, 3)
    steps = save_sequence(vm.device)
    assert check_log([format_step(step) for step in steps], device=new_device(vm.ram)) == []
    for its in vm.device.itses:
        address = its.get_attr(Group.ADDR, ItsAddress.ITS)
        at = steps.index(SetItsAttr(its.number, Group.ADDR, ItsAddress.ITS, address))
        assert steps[at + 1] == SetItsAttr(its.number, Group.CTRL, ItsControl.INIT)


@pytest.mark.rule("KVM-37")
def test_what_is_refused() -> None:
    log = """\
set NR_IRQS 0 96
set REDIST_REGS 0x0000000200010100 1
run 0
set DIST_REGS 0x104 1
stop 0
set CPU_SYSREGS 0x0000c664 0x8400
"""
    assert findings(log) == [
        "line 8: refused: EBUSY: NR_IRQS attribute 0x0 is 96 already",
        "line 9: refused: EINVAL: REDIST_REGS GICR_ISENABLER0 of 0.0.0.2: no vCPU has this affinity",
        "line 11: refused: EBUSY: DIST_REGS GICD_ISENABLER1: vCPU 0 is running",
        "line 13: refused: EINVAL: CPU_SYSREGS ICC_CTLR_EL1 of 0.0.0.0: A3V is 1, this VM's is 0",
    ]


@pytest.mark.rule("KVM-37")
def test_registers_before_init_and_a_run_that_fails() -> None:
    log = ["create_vcpu", "set DIST_REGS 0x104 1", "run 0", "set DIST_REGS 0x104 1"]
    assert [(finding.line, finding.verdict) for finding in check_log(log)] == [
        (line, Verdict.REFUSED) for line in (2, 3, 4)
    ]


@pytest.mark.rule("KVM-38")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("set DIST_REGS 0x6104 1", "DIST_REGS GICD_IROUTER32 [63:32]: written 0x1, it is 0x0"),
        ("set DIST_REGS 0x420 0xa4", "DIST_REGS GICD_IPRIORITYR8: written 0xa4, it is 0xa0"),
        ("set DIST_REGS 0x4 0x480007", "DIST_REGS GICD_TYPER: written 0x480007, it is 0x480002"),
        ("set DIST_REGS 0x284 1", "DIST_REGS GICD_ICPENDR1: written 0x1, it is 0x0"),
        ("set DIST_REGS 0x0 0x13", "DIST_REGS GICD_CTLR: written 0x13, it is 0x52"),
        ("set DIST_REGS 0xf00 1", "DIST_REGS GICD_SGIR: there is no such register, the write is ignored"),
        ("set DIST_REGS 0x10c 1", "DIST_REGS GICD_ISENABLER3: there is no such register, the write is ignored"),
        ("set DIST_REGS 0x106 1", "DIST_REGS offset 0x106: there is no such register, the write is ignored"),
        (
            "set REDIST_REGS 0x0000000100010c04 0x8",
            "REDIST_REGS GICR_ICFGR1 of 0.0.0.1: written 0x8, it is 0x0",
        ),
        (
            "set LEVEL_INFO 0x0 0x10ffff",
            "LEVEL_INFO info 0 of INTIDs 0 to 31 of 0.0.0.0: 0xffff is ignored, SGIs and INTIDs that do not exist"
            " have no level",
        ),
        (
            "set LEVEL_INFO 0x60 0x1",
            "LEVEL_INFO info 0 of INTIDs 96 to 127 of 0.0.0.0: 0x1 is ignored, SGIs and INTIDs that do not exist"
            " have no level",
        ),
    ],
)
def test_what_is_ignored_without_an_error(call: str, message: str) -> None:
    assert findings(call) == [f"line {FIRST}: lost: {message}"]


@pytest.mark.rule("KVM-38")
@pytest.mark.parametrize(
    "call",
    [
        "set DIST_REGS 0x104 0x3",
        "set DIST_REGS 0x184 0xffffffff",
        "set DIST_REGS 0x0 0x52",
        "set DIST_REGS 0x6100 0x000102ff",
        "set LEVEL_INFO 0x20 0xffffffff",
        "set LEVEL_INFO 0x100000000 0xffff0000",
        "set CPU_SYSREGS 0x0000c665 0x1",
        # Less than the least is the least: nothing of it could ever count.
        "set CPU_SYSREGS 0x0000c643 0x0",
        "set CPU_SYSREGS 0x0000c663 0x0",
        # Status, and bits that are reserved.
        "set DIST_REGS 0x0 0x80000052",
        "set DIST_REGS 0x10 0xffffffff",
        "set DIST_REGS 0xc08 0xffffffff",
        "set REDIST_REGS 0x0 0x8000000e",
        "set REDIST_REGS 0x10 0x1f",
        # Kept as it is until the vCPU runs.
        "set CPU_SYSREGS 0x0000c230 0xff",
    ],
)
def test_what_is_kept_is_not_mentioned(call: str) -> None:
    assert findings(call) == []


@pytest.mark.rule("KVM-38")
def test_a_latch_that_a_second_write_clears() -> None:
    log = "set LEVEL_INFO 0x20 0\nset DIST_REGS 0x204 0xff\nset DIST_REGS 0x204 0x1\n"
    assert findings(log) == [
        "line 10: lost: DIST_REGS GICD_ISPENDR1: all 32 latches are replaced, which clears 0xfe, set in line 9"
    ]


@pytest.mark.rule("KVM-38")
@pytest.mark.parametrize(
    ("calls", "shown"),
    [
        ("set CPU_SYSREGS 0xc664 0x401\nset CPU_SYSREGS 0xc663 5", 1),
        # BPR1 shows BPR0 plus one, whichever comes first.
        ("set CPU_SYSREGS 0xc664 0x401\nset CPU_SYSREGS 0xc663 5\nset CPU_SYSREGS 0xc643 4", 0),
        ("set CPU_SYSREGS 0xc664 0x401\nset CPU_SYSREGS 0xc663 5\nset CPU_SYSREGS 0xc643 3", 4),
        ("set CPU_SYSREGS 0xc664 0x401\nset CPU_SYSREGS 0xc663 5\nset CPU_SYSREGS 0xc663 1", 0),
        # Its own value is kept while CBPR is 0.
        ("set CPU_SYSREGS 0xc663 5\nset CPU_SYSREGS 0xc664 0x401", 0),
    ],
)
def test_bpr1_under_cbpr_is_lost_where_it_does_not_show_bpr0_in_the_end(calls: str, shown: int) -> None:
    expected = f"line 9: lost: CPU_SYSREGS ICC_BPR1_EL1 of 0.0.0.0: written 0x5, it is {shown:#x}"
    assert findings(calls) == ([expected] if shown else [])


@pytest.mark.rule("KVM-39")
def test_what_comes_too_late() -> None:
    log = """\
set REDIST_REGS 0x0000000100010100 1
set DIST_REGS 0x8 0x4b00243b
set REDIST_REGS 0x0000000100010100 1
mpidr 1 0x80000001
mpidr 1 0x80000100
mpidr 0 0x80000200
set ADDR 5 0x00100000090a0001
"""
    assert findings(log) == [
        "line 9: out of order: DIST_REGS GICD_IIDR comes too late: the registers from line 8 on were written before"
        " the revision was known",
        "line 12: out of order: MPIDR_EL1 of vCPU 1 comes too late: line 8 named it 0.0.0.1",
        "line 14: out of order: ADDR REDIST_REGION: after CTRL INIT, with every vCPU placed, a region stays empty",
    ]


@pytest.mark.rule("KVM-39")
def test_a_region_after_init_is_in_time_while_a_vcpu_needs_it() -> None:
    assert check_log(["create_vcpu", "set CTRL 0", "set ADDR 5 0x00100000080a0000"]) == []


@pytest.mark.rule("KVM-39")
def test_vcpus_that_run_or_stop_twice() -> None:
    assert findings("run 0\nrun 0\nstop 0\nstop 0\n") == [
        "line 9: out of order: vCPU 0 is running already",
        "line 11: out of order: vCPU 0 is not running",
    ]


@pytest.mark.rule("KVM-40")
def test_lpi_tables_after_lpis_were_enabled() -> None:
    log = """\
create_its
set REDIST_REGS 0x70 0x4000078f
set REDIST_REGS 0x0 0x1
set REDIST_REGS 0x70 0x4001078f
set REDIST_REGS 0x70 0x4000078f
set REDIST_REGS 0x7c 0x1
set REDIST_REGS 0x100000078 0x10780
set REDIST_REGS 0x10000007c 0x40000000
"""
    assert findings(log) == [
        f"line {line}: lost: REDIST_REGS {register} of 0.0.0.0: ignored, since line 10 has enabled the vCPU's LPIs"
        for line, register in ((11, "GICR_PROPBASER [31:0]"), (13, "GICR_PENDBASER [63:32]"))
    ]


@pytest.mark.rule("KVM-39", "KVM-65")
def test_spis_that_are_pending_before_the_distributor_is_enabled() -> None:
    enable, pending = "set DIST_REGS 0x0 0x2", "set DIST_REGS 0x204 0x10"
    message = (
        "out of order: DIST_REGS GICD_CTLR comes too late: "
        "line 8 has made SPIs pending, and KVM queues none while it is disabled"
    )
    assert findings(f"{pending}\n{enable}\n") == [f"line 9: {message}"]
    assert findings(f"{enable}\n{pending}\n{enable}\n") == []
    assert findings(f"set DIST_REGS 0x204 0\n{enable}\n") == []


@pytest.mark.rule("KVM-39", "KVM-65")
def test_lpis_that_are_pending_before_the_distributor_is_enabled() -> None:
    enable, tables = "set DIST_REGS 0x0 0x2", "set_its 0 CTRL 2"
    message = (
        "out of order: DIST_REGS GICD_CTLR comes too late: line 12 has restored the tables of an ITS, "
        "and KVM queues no LPI of theirs while it is disabled"
    )
    its = f"{ITS}set_its 0 CTRL 0\n{CBASER}{QUEUE}\n"
    assert [found for found in findings(f"{its}{tables}\n{enable}\n") if "GICD_CTLR" in found] == [
        f"line 13: {message}"
    ]
    assert [found for found in findings(f"{its}{enable}\n{tables}\n{enable}\n") if "GICD_CTLR" in found] == []


@pytest.mark.rule("KVM-40")
def test_without_an_its_there_are_no_lpis_to_enable() -> None:
    log = "set REDIST_REGS 0x78 0x580\nset REDIST_REGS 0x0 0x1\nset REDIST_REGS 0x78 0x580\n"
    assert findings(log) == ["line 9: lost: REDIST_REGS GICR_CTLR of 0.0.0.0: written 0x1, it is 0x6"]


ITS = """\
create_its
set_its 0 ADDR 4 0x08080000
"""
"""Lines 8 and 9."""

CBASER, QUEUE = "set_its 0 ITS_REGS 0x80 ", "0x980000004100048f"
DEVICES = "set_its 0 ITS_REGS 0x100 0x9907000042000607"
COLLECTIONS = "set_its 0 ITS_REGS 0x108 0x9c07000043000607"
READER, WRITER = "set_its 0 ITS_REGS 0x90 0x40", "set_its 0 ITS_REGS 0x88 0x40"
RESTORE, ENABLE = "set_its 0 CTRL 2", "set_its 0 ITS_REGS 0x0 1"


@pytest.mark.rule("KVM-56")
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([CBASER + QUEUE, READER, WRITER, DEVICES, COLLECTIONS, RESTORE, ENABLE], []),
        (
            [CBASER + QUEUE, READER, WRITER, CBASER + QUEUE, RESTORE],
            [
                "line 13: lost: ITS 0: ITS_REGS GITS_CBASER: GITS_CREADR, set in line 11, is 0 again",
                "line 13: lost: ITS 0: ITS_REGS GITS_CBASER: GITS_CWRITER, set in line 12, is 0 again",
            ],
        ),
        (
            [CBASER + QUEUE, DEVICES, COLLECTIONS, ENABLE, CBASER + "0", RESTORE],
            [
                "line 14: lost: ITS 0: ITS_REGS GITS_CBASER: written 0x0, it is 0x980000004100048f",
                "line 15: out of order: ITS 0: CTRL RESTORE_TABLES comes too late: line 13 has enabled the ITS",
            ],
        ),
        (
            [CBASER + QUEUE, RESTORE, DEVICES],
            ["line 12: out of order: ITS 0: ITS_REGS GITS_BASER0 comes too late: line 11 has restored the tables"],
        ),
        (
            [ENABLE, RESTORE],
            ["line 10: lost: ITS 0: ITS_REGS GITS_CTLR: written 0x1, it is 0x80000000"],
        ),
        (
            [CBASER + QUEUE, RESTORE, "set REDIST_REGS 0x0 1"],
            [
                "line 12: out of order: REDIST_REGS GICR_CTLR of 0.0.0.0 comes too late: line 11 has restored the"
                " tables of an ITS"
            ],
        ),
        (
            ["set_its 1 CTRL 2", "set_its 0 CTRL 9"],
            [
                "line 10: refused: EBADF: ITS 1 has not been created",
                "line 11: refused: ENXIO: ITS 0: CTRL attribute 0x9: this device does not have it",
            ],
        ),
    ],
)
def test_an_its_in_its_order(steps: list[str], expected: list[str]) -> None:
    assert findings(ITS + "\n".join(steps)) == expected


@pytest.mark.rule("KVM-56")
@pytest.mark.parametrize(
    "call",
    [
        # Attributes that this host has not got, in a queue and tables that there are; what is under way.
        "set_its 0 ITS_REGS 0x80 0x800008004100048f",
        "set_its 0 ITS_REGS 0x100 0x8107080042000607",
        "set_its 0 ITS_REGS 0x0 0x80000000",
    ],
)
def test_what_no_guest_can_tell_apart_is_not_lost_of_an_its(call: str) -> None:
    assert findings(ITS + call) == []


@pytest.mark.rule("KVM-56")
def test_the_guests_ram_is_blank_unless_it_is_at_hand() -> None:
    ram = BlankRam()
    ram.write(1 << 60, b"1")
    assert ram.is_ram(1 << 60, 1)
    assert ram.read(1 << 60, 2) == b"\0\0"


# The log.


@pytest.mark.rule("KVM-42")
def test_steps_and_their_lines() -> None:
    steps = [
        CreateVcpu(),
        CreateVcpu(0x8000_0001),
        SetMpidr(1, 0x1_8000_0000),
        SetAttr(Group.DIST_REGS, 0x8, 0x4B00_343B),
        SetAttr(99, 1 << 63, 0),
        CreateIts(),
        SetItsAttr(0, Group.ITS_REGS, 0x80, 1 << 63),
    ]
    lines = [format_step(step) for step in steps]
    assert lines[0] == "create_vcpu"
    assert lines[4] == "set 99 0x8000000000000000 0x0"
    assert lines[6] == "set_its 0 ITS_REGS 0x80 0x8000000000000000"
    assert [step for _, step in read_log(lines)] == steps


@pytest.mark.rule("KVM-42")
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "sit DIST_REGS 0 0",
            "'sit' is no call; there are create_vcpu, mpidr, set, create_its, set_its, run, stop",
        ),
        ("set DIST_REGS", "'set DIST_REGS'; it is written 'set GROUP ATTR [VALUE]'"),
        ("set DIST 0 0", "'DIST' is no number"),
        ("set 1 0 0x10000000000000000", "0x10000000000000000 does not fit in 64 bits"),
        ("run -1", "-1 does not fit in 64 bits"),
    ],
)
def test_a_line_that_is_none_is_named(line: str, reason: str) -> None:
    with pytest.raises(UsageError) as error:
        check_log(["create_vcpu", line], "vmm.log")
    assert str(error.value) == f"vmm.log:2: {reason}"


@pytest.mark.rule("KVM-42")
def test_the_example_of_the_module() -> None:
    assert doctest.testmod(kvm_order).failed == 0
    text = (kvm_order.__doc__ or "").partition("For example:")[2]
    assert check_log(text.splitlines()) == []
