"""What a running QEMU does with a guest's programs: where the profile does not follow it (STATE-15, LPI-28).

QEMU runs a bare-metal guest and traces what its GIC does; so the CPU interfaces and their outputs are seen too.
"""

from collections.abc import Iterable
from pathlib import Path

import vgic
from bare_metal import Load, Mrs, Msr, Operation, Store, run
from beside_qemu import NEEDS_QEMU, PROFILE
from mmio.trace import Outputs, SysReg, open_trace
from vgic_tools.judges.qemu import arguments
from vgic_tools.machines.machine import Machine
from vgic_tools.replay import replay

pytestmark = NEEDS_QEMU

RAM = 0x4000_0000
GICD = 0x0800_0000
GICR = (0x080A_0000, 0x080C_0000)
UART = 0x0900_0000
UART_SPI = 33
LPI = 8192
CONFIGURATION, PENDING = RAM + 0x200_0000, RAM + 0x210_0000


def started(cpus: int) -> list[Operation]:
    """Every PE takes its SGIs and PPIs, and the UART's SPI goes to the last one."""
    operations: list[Operation] = [Store(0, GICD, 0b11)]
    for cpu in range(cpus):
        operations += [
            Msr(cpu, vgic.ICC_PMR_EL1, 0xF8),
            Msr(cpu, vgic.ICC_IGRPEN1_EL1, 1),
            Store(cpu, GICR[cpu] + 0x1_0080, 0xFFFF_FFFF),
            Store(cpu, GICR[cpu] + 0x1_0100, 0xFFFF_FFFF),
        ]
    bit = 1 << UART_SPI % 32
    return [
        *operations,
        Store(0, GICD + 0x84, bit),
        Store(0, GICD + 0x104, bit),
        Store(0, GICD + 0x6000 + 8 * UART_SPI, cpus - 1, 8),
    ]


def outcomes(trace: Path, cpu: int) -> list[object]:
    """The outputs that QEMU drove for a PE and what it read of ICC_HPPIR1 and ICC_IAR1, without repetitions."""
    found: list[object] = []
    for event in open_trace(trace):
        if isinstance(event, Outputs) and event.cpu == cpu:
            outcome: object = "IRQ" if event.irq else "none"
        elif isinstance(event, SysReg) and event.cpu == cpu and event.register in ("ICC_HPPIR1", "ICC_IAR1"):
            outcome = (event.register, event.value)
        else:
            continue
        if not found or found[-1] != outcome:
            found.append(outcome)
    return found


def compared(trace: Path, cpus: int) -> None:
    """The replay of the trace has nothing to say."""
    config = vgic.Config(vgic.Topology.qemu(cpus), 256, PROFILE)
    result = replay(open_trace(trace), str(trace), Machine(config, "a test"))
    assert (result.first, result.undecided) == (None, "")
    assert result.compared.total() > 20


def test_the_outputs_of_other_pes_wait_after_a_deferred_change_of_trigger(tmp_path: Path) -> None:
    change = [
        Store(0, GICD + 0xC08, 0b10 << 2),  # the UART's SPI is edge-triggered,
        Store(0, UART + 0x38, 1 << 5),
        Store(0, UART, ord("A")),  # its line goes up,
        Store(0, GICD + 0x284, 1 << UART_SPI % 32),  # and it is not pending any more.
        Store(0, GICR[0] + 0x1_0200, 1 << 3),
        Store(0, GICD + 0xC08, 0),  # Level-sensitive, it is; QEMU looks when PE 0 loses its best interrupt.
        Store(0, GICR[0] + 0x1_0280, 1 << 3),
        Load(0, GICD),
    ]
    operations = [*started(2), *change, Mrs(1, vgic.ICC_HPPIR1_EL1), Msr(1, vgic.ICC_PMR_EL1, 0xF8), Load(0, GICD)]
    trace = run(operations, arguments(2), [0, 1], tmp_path)
    # Latched while edge-triggered; then pending at once, and signalled when PE 1 itself is looked at.
    assert outcomes(trace, 1) == ["none", "IRQ", "none", ("ICC_HPPIR1", UART_SPI), "IRQ"]
    compared(trace, 2)

    gic = vgic.Gic(vgic.Config(vgic.Topology.qemu(2), 256, PROFILE))
    model_of(gic, bytearray(), operations[: operations.index(change[-2])])
    assert gic.outputs(1) == (False, False)
    model_of(gic, bytearray(), [change[-2]])
    assert gic.outputs(1) == (True, False)


def test_an_acknowledged_lpi_whose_pending_bit_is_gone_stays_signalled(tmp_path: Path) -> None:
    operations = [
        *started(1),
        Store(0, CONFIGURATION, 0xA1, 1),
        Store(0, PENDING + LPI // 8, 1, 1),
        Store(0, GICR[0] + 0x70, CONFIGURATION | 0xF, 8),
        Store(0, GICR[0] + 0x78, PENDING, 8),
        Store(0, GICR[0], 1),
        Store(0, PENDING + LPI // 8, 0, 1),
        Mrs(0, vgic.ICC_IAR1_EL1),
        Mrs(0, vgic.ICC_HPPIR1_EL1),
        Msr(0, vgic.ICC_EOIR1_EL1, LPI),
        Mrs(0, vgic.ICC_IAR1_EL1),
    ]
    trace = run(operations, arguments(1, its=True), [0], tmp_path)
    taken = ("ICC_IAR1", LPI)
    assert outcomes(trace, 0) == ["none", "IRQ", taken, ("ICC_HPPIR1", LPI), "IRQ", taken]

    ram = bytearray(0x400_0000)
    gic = vgic.Gic(vgic.Config(vgic.Topology.qemu(1), 256, PROFILE), memory=vgic.Ram(RAM, ram))
    assert model_of(gic, ram, operations) == [LPI, 1023, 1023]
    assert gic.outputs(0) == (False, False)


def model_of(gic: vgic.Gic, ram: bytearray, operations: Iterable[Operation]) -> list[int]:
    """Perform operations on a model; what the system registers read."""
    read = []
    for operation in operations:
        match operation:
            case Store(_, address, value, size) if address >= RAM:
                ram[address - RAM : address - RAM + size] = value.to_bytes(size, "little")
            case Store(_, address, _, _) if address >= UART:
                gic.spi(UART_SPI).set_level(address == UART)
            case Store(cpu, address, value, size):
                gic.write(address, size, value, cpu)
            case Msr(cpu, register, value):
                gic.sysreg_write(cpu, register, value)
            case Mrs(cpu, register):
                read.append(gic.sysreg_read(cpu, register))
            case Load(cpu, address, size):
                gic.read(address, size, cpu)
    return read
