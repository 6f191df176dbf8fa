"""cocotb: the model as the reference of a scoreboard, where each stimulus goes to the design and to the model."""

import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotb_tools.runner import get_runner

import vgic

HERE = Path(__file__).parent


@cocotb.test()
async def same_output(dut: cocotb.handle.HierarchyObject) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), spis=32))
    gic.wake_all()
    gicd = gic.config.gicd_base
    gic.write(gicd + 0x0000, 4, 0b11)  # GICD_CTLR
    gic.write(gicd + 0x0084, 4, 0xFFFF_FFFF)  # GICD_IGROUPR1
    gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xF8)
    gic.sysreg_write(0, vgic.ICC_IGRPEN1_EL1, 1)

    dut.write.value = dut.wdata.value = dut.spi.value = 0
    Clock(dut.clk, 10, unit="step").start()
    stimulus = random.Random(1)
    for _ in range(200):
        enable, levels = 1 << stimulus.randrange(32), stimulus.getrandbits(32) & stimulus.getrandbits(32)
        dut.write.value, dut.wdata.value, dut.spi.value = 1, enable, levels
        gic.write(gicd + 0x0104, 4, enable)  # GICD_ISENABLER1
        for line in range(32):
            gic.spi(32 + line).set_level(levels >> line & 1)
        await ClockCycles(dut.clk, 3)
        irq, _ = gic.outputs(0)
        assert int(dut.nirq.value) == (not irq)


if __name__ == "__main__":
    runner = get_runner("icarus")
    runner.build(sources=[HERE / "toy_gic.v"], hdl_toplevel="toy_gic")
    runner.test(hdl_toplevel="toy_gic", test_module=Path(__file__).stem)
