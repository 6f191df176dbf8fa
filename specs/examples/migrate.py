"""A VM with an Aff3 moves to a host that has none: what it keeps, and what the host has to trap for that."""

from pathlib import Path
from tempfile import TemporaryDirectory

import vgic
from vgic.host import CpuInterfaceView, HostCapabilities, trap_plan

topology = vgic.Topology.from_text(["0.0.0.0", "0.0.0.1", "1.0.0.0", "1.0.0.1"])
gic = vgic.Gic(vgic.Config(topology))
gic.wake_all()
gic.write(gic.config.gicd_base + 0x6000 + 8 * 40, 8, 1 << 32 | 1)  # GICD_IROUTER40: to 1.0.0.1

with TemporaryDirectory() as folder:
    file = Path(folder) / "vm.state"
    vgic.State.of(gic).to_file(file)
    restored = vgic.State.from_file(file).build()

print("SPI 40 goes to vCPU", restored.spi(40).target)
print(f"GICR_TYPER of vCPU 3: {restored.read(restored.redistributor_bases[3] + 8, 8):#x}")

plan = trap_plan(CpuInterfaceView(a3v=True), HostCapabilities(a3v=False))
print("Trap", [control.name for control in plan.controls], "for the", *map(str, plan.needed))
