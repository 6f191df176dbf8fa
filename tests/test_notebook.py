"""What a notebook shows of objects, and the notebook that shows them."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest

import mmio
import vgic
from mmio.notebook import html_table
from notebooks import NOTEBOOKS, executed, shown
from qemu_log import awake, dist, icc, ppi, replayed
from vgic.its.device import MsiOutcome, MsiResult
from vgic.its.errors import ItsError
from vgic.layouts.ich import ICH_HCR_EL2, ICH_LR0_EL2, ICH_VMCR_EL2
from vgic_tools.replay import Result


def texts(html: str) -> list[str]:
    """What a table says, in order; it is well-formed."""
    return [text for text in ElementTree.fromstring(html).itertext() if text]


def test_a_gic() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.from_text(["0.0.0.0", "1.0.0.2"]), spis=64))
    gic.wake_all()
    gic.write(gic.config.gicd_base, 4, 0b11)
    gic.write(gic.redistributor_bases[1] + 0x1_0080, 4, 1 << 27)
    gic.write(gic.redistributor_bases[1] + 0x1_0100, 4, 1 << 27)
    gic.sysreg_write(1, vgic.ICC_PMR_EL1, 0xF8)
    gic.sysreg_write(1, vgic.ICC_IGRPEN1_EL1, 1)
    gic.ppi(1, 27).set_level(True)
    said = texts(gic._repr_html_())
    assert said[0] == "Gic arch: 2 vCPUs, 64 SPIs, LPIs" or said[0] == "Gic arch: 2 vCPUs, 64 SPIs"
    assert said[-7:] == ["1", "1.0.0.2", "1", "0", "INTID 27, group 1, priority 0x00", "0xff", "1"]


def test_a_gic_with_everything() -> None:
    config = vgic.Config(vgic.Topology.kvm(1), spis=32, security="two", nmi=True, list_registers=4)
    gic = vgic.Gic(config)
    gic.wake_all()
    gicd, sgi_base = config.gicd_base, gic.redistributor_bases[0] + 0x1_0000
    gic.write(gicd, 4, 0b111, secure=True)
    for offset in (0x0D00, 0x0F80, 0x0100):  # GICR_IGRPMODR0, GICR_INMIR0, GICR_ISENABLER0
        gic.write(sgi_base + offset, 4, 1 << 27, secure=True)
    gic.set_pe_state(0, vgic.PeState(el=2))
    gic.sysreg_write(0, ICH_VMCR_EL2, 0xF0 << 24 | 0b11)
    gic.sysreg_write(0, ICH_LR0_EL2, 1 << 62 | 1 << 60 | 42)
    gic.sysreg_write(0, ICH_HCR_EL2, 1)
    gic.set_pe_state(0, vgic.PeState(el=1, secure=True))
    gic.sysreg_write(0, vgic.ICC_IGRPEN1_EL1, 1)
    gic.ppi(0, 27).set_level(True)
    said = texts(gic._repr_html_())
    assert said[0].startswith("Gic arch: 1 vCPU, 32 SPIs, NMIs, two Security states, 4 list registers")
    assert said[said.index("waiting") + 1 :][:3] == ["virtual IRQ", "virtual FIQ", "PE"]
    assert "INTID 27, Secure Group 1, superpriority" in said
    assert said[-3:] == ["1", "0", "Secure EL1"]


def test_many_vcpus_stay_small() -> None:
    html = vgic.Gic(vgic.Config(vgic.Topology.kvm(512)))._repr_html_()
    assert texts(html)[-1] == "and 496 more"
    assert len(html) < 4000


def test_a_state() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(2)))
    gic.write(gic.config.gicd_base + 0x104, 4, 1)
    said = texts(vgic.State.of(gic)._repr_html_())
    assert said[0].startswith("State arch: 2 vCPUs, ")
    assert "GICD" in said
    assert "ICC[1]" in said


def test_an_address_map() -> None:
    said = texts(vgic.Gic(vgic.Config(vgic.Topology.kvm(2))).map._repr_html_())
    assert said[:5] == ["Address map", "first", "last", "bytes", "what is there"]
    assert said[5:8] == ["0x8000000", "0x800ffff", "0x10000"]
    assert texts(mmio.AddressMap()._repr_html_()) == ["Address map"]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (MsiResult(MsiOutcome.DELIVERED, None), ["MSI delivered", "why", "the LPI is pending"]),
        (
            MsiResult(MsiOutcome.BLOCKED, ItsError.DEVICE_UNMAPPED),
            ["MSI blocked", "why", ItsError.DEVICE_UNMAPPED.value],
        ),
    ],
)
def test_a_message(result: MsiResult, said: list[str]) -> None:
    assert texts(result._repr_html_()) == said


def test_a_replay() -> None:
    said = texts(replayed([*awake(), ppi(0, 27, 1), icc("read", "IAR1", 0, 27)])._repr_html_())
    assert said[0] == "boot.log: no divergence: 7 recorded values came out the same"
    said = texts(replayed([*awake(), dist("read", 0, 1)])._repr_html_())
    assert said[0] == "boot.log: diverged: 1 of 8 values differ"
    assert said[said.index("GICD_CTLR") :][:3] == ["GICD_CTLR", "1", "1"]
    assert texts(Result("x", "y", undecided="nothing")._repr_html_()) == ["x: no verdict: nothing"]


def test_nothing_is_markup() -> None:
    evil = "<script>alert(1)</script>&\"'"
    html = html_table(evil, [evil], [[evil]])
    assert texts(html) == [evil, evil, evil]
    assert "<script" not in html


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_its_cells_give(path: Path) -> None:
    """`make notebooks` writes it anew."""
    assert shown(nbformat.read(path, as_version=4)) == shown(executed(path))
