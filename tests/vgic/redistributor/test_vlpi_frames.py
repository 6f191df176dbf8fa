"""The frames that a GICv4 adds to a Redistributor, and what its registers say of it."""

import pytest

import vgic
from guest import Recorder
from its_driver import RAM, RAM_SIZE, Heard, ItsDriver
from mmio import MapError
from offsets import GICD, GICR
from vgic import ARCH, KVM, QEMU, Config, ConfigError, RedistributorRegion, Topology
from vgic.its.errors import ItsError
from vgic.kvm import KvmError, VgicV3Device
from vgic.layouts import gicd, gicr, gits, ich

VPROPBASER, VPENDBASER = 0x20070, 0x20078
VALID, PENDING_LAST = 1 << 63, 1 << 61
GITS = 0x0808_0000
PIDR2 = 0xFFE8
OPCODES_OF_VPES = (0x21, 0x22, 0x25, 0x29, 0x2A, 0x2B, 0x2D)
"""VMOVI, VMOVP, VSYNC, VMAPP, VMAPTI, VMAPI, VINVALL."""


def config(cpus: int = 2, frames: bool = True, its: bool = False, **options: object) -> Config:
    return Config(
        Topology.qemu(cpus),
        spis=32,
        profile=options.pop("profile", QEMU),  # type: ignore[arg-type]
        vlpi_frames=frames,
        its=(GITS,) if its else (),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.rule("VLPI-1")
def test_redistributors_are_256_kib_apart() -> None:
    regions = RedistributorRegion(0x0A00_0000, 2), RedistributorRegion(0x0B00_0000, 4)
    heard = Recorder()
    gic = vgic.Gic(config(4, redistributor_regions=regions), observer=heard)
    assert gic.redistributor_bases == [0x0A00_0000, 0x0A04_0000, 0x0B00_0000, 0x0B04_0000]
    typers = [gicr.TYPER.decode(gic.read(base + GICR.TYPER, 8)) for base in gic.redistributor_bases]
    assert [(typer["Processor_Number"], typer["Last"]) for typer in typers] == [(0, 0), (1, 1), (2, 0), (3, 1)]
    # Each has its own registers.
    for cpu, base in enumerate(gic.redistributor_bases):
        gic.write(base + VPROPBASER, 8, 0x1000 * cpu)
    assert [gic.read(base + VPROPBASER, 8) for base in gic.redistributor_bases] == [0, 0x1000, 0x2000, 0x3000]
    assert not heard.accesses
    for offset in (0x20000, 0x2FFE8, 0x30000, 0x30070, 0x3FFE8):
        assert gic.read(0x0A04_0000 + offset, 4) == 0
        assert heard.accesses.pop().refusal.name == "HOLE"
    # Two that are as far apart as those of a GICv3 would meet.
    touching = RedistributorRegion(0x0A00_0000, 1), RedistributorRegion(0x0A02_0000, 1)
    with pytest.raises(MapError):
        vgic.Gic(config(2, redistributor_regions=touching))
    assert vgic.Gic(config(2, False, redistributor_regions=touching)).read(0x0A02_0000 + VPROPBASER, 8) == 0


@pytest.mark.rule("VLPI-2")
@pytest.mark.parametrize("frames", [False, True])
def test_registers_say_that_it_is_a_gicv4(frames: bool) -> None:
    gic = vgic.Gic(config(1, frames, its=True, list_registers=4))
    base, [frame] = gic.config.gicd_base, gic.redistributor_bases
    for place in (base, frame, GITS):
        assert gic.read(place + PIDR2, 4) == (0x4B if frames else 0x3B)
    assert gicd.TYPER.decode(gic.read(base + GICD.TYPER, 4))["DVIS"] == frames
    typer = gicr.TYPER.decode(gic.read(frame + GICR.TYPER, 8))
    assert [typer[name] for name in ("VLPIS", "PLPIS", "Dirty", "RVPEID", "VSGI")] == [frames, 1, 0, 0, 0]
    assert ich.VTR.decode(gic.sysreg_read(0, ich.VTR.offset))["nV4"] != frames


@pytest.mark.rule("VLPI-3")
def test_an_its_has_a_table_of_vpes() -> None:
    gic = vgic.Gic(config(its=True))
    typer = gits.TYPER.decode(gic.read(GITS + 8, 8))
    assert (typer["Virtual"], typer["VMOVP"], typer["Physical"]) == (1, 1, 1)
    tables = [gits.BASER.decode(gic.read(GITS + 0x100 + 8 * index, 8)) for index in range(4)]
    assert [(table["Type"], table["Entry_Size"]) for table in tables] == [(1, 7), (4, 7), (2, 7), (0, 0)]
    gic.write(GITS + 0x110, 8, (1 << 64) - 1)
    assert gic.read(GITS + 0x110, 8) == 0xFAE7_FFFF_FFFF_FFFF
    # The collections are where they were.
    assert gic.read(GITS + 0x108, 8) == vgic.Gic(config(frames=False, its=True)).read(GITS + 0x108, 8)


@pytest.mark.rule("VLPI-3")
def test_commands_of_vpes_are_passed_over() -> None:
    ram, heard = vgic.Ram.zeroed(RAM, RAM_SIZE), Heard()
    gic = vgic.Gic(config(its=True), lines=heard, observer=heard, memory=ram)
    driver = ItsDriver(gic, ram)
    driver.start()
    driver.map_device(7, 16)
    lpi = driver.map_event(7, 1, 1)
    for opcode in OPCODES_OF_VPES:
        driver.add(opcode.to_bytes(32, "little"))
        assert heard.take() == [(f"unknown command {opcode:#04x}", ItsError.UNKNOWN_COMMAND)]
        assert driver.read(gits.CREADR) == driver.read(gits.CWRITER)
    assert str(gic.msi(7, 1)) == "delivered"
    assert driver.take_all() == [(1, lpi)]


@pytest.mark.rule("VLPI-4")
def test_a_resident_vpe_fixes_its_register() -> None:
    gic = vgic.Gic(config(1))
    [base] = gic.redistributor_bases

    def after(value: int) -> int:
        gic.write(base + VPENDBASER, 8, value)
        gic.check()
        return gic.read(base + VPENDBASER, 8)

    assert after((1 << 63) - 1) == 0x670F_FFFF_FFFF_0F80
    assert after(0x4000_0000) == 0x4000_0000
    assert after(VALID | 0x5000_0000) == VALID | PENDING_LAST | 0x5000_0000
    assert after(VALID | 0x6000_0000) == VALID | PENDING_LAST | 0x5000_0000
    assert after(PENDING_LAST | 0x7000_0000) == 0x7000_0000
    # By halves: only the upper one has Valid.
    gic.write(base + VPENDBASER + 4, 4, 1 << 31)
    assert gic.read(base + VPENDBASER, 8) == VALID | PENDING_LAST | 0x7000_0000
    gic.write(base + VPENDBASER, 4, 0)
    assert gic.read(base + VPENDBASER, 8) == VALID | PENDING_LAST | 0x7000_0000
    gic.write(base + VPROPBASER, 8, (1 << 64) - 1)
    assert gic.read(base + VPROPBASER, 8) == (1 << 64) - 1


@pytest.mark.rule("VLPI-5")
def test_who_can_have_the_frames() -> None:
    for profile in (ARCH, KVM):
        with pytest.raises(ConfigError, match=f"the profile {profile.name} has no frames of a GICv4"):
            config(profile=profile)
    with pytest.raises(ConfigError, match="vlpi_frames needs LPIs, but lpis is False"):
        config(lpis=False)
    with pytest.raises(ConfigError, match="vlpi_frames is True or False, not 4"):
        config(frames=4)  # type: ignore[arg-type]
    assert config().redistributor_size == 2 * config(frames=False).redistributor_size == 0x4_0000


@pytest.mark.rule("VLPI-5")
def test_they_are_saved() -> None:
    gic = vgic.Gic(config(its=True))
    base = gic.redistributor_bases[1]
    gic.write(base + VPROPBASER, 8, 0x4000_000F)
    gic.write(base + VPENDBASER, 8, VALID | 0x5000_0000)
    state = gic.save()
    assert state["registers"]["GICR[1].GICR_VPROPBASER"] == 0x4000_000F
    assert state["registers"]["GICR[1].GICR_VPENDBASER"] == VALID | PENDING_LAST | 0x5000_0000
    restored = vgic.State.from_bytes(vgic.State(state).to_bytes()).build()
    assert restored.config.vlpi_frames
    assert restored.save() == state
    # A VM without them is another one.
    with pytest.raises(vgic.StateError, match="vlpi_frames"):
        vgic.Gic(config(frames=False, its=True)).restore(state)


@pytest.mark.rule("VLPI-5")
def test_kvm_cannot_carry_them() -> None:
    assert VgicV3Device.over(vgic.Gic(config(frames=False))).vcpus == (0, 1)
    with pytest.raises(KvmError, match="the VM has the frames of a GICv4, which KVM's attributes do not carry"):
        VgicV3Device.over(vgic.Gic(config()))
