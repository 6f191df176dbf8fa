"""Hosts and views: what ICH_VTR_EL2 and ICC_CTLR_EL1 say, against Construct, and what cannot be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic import ConfigError
from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
from vgic.layouts.icc import CTLR
from vgic.layouts.ich import HCR, VTR


@st.composite
def hosts(draw: st.DrawFn) -> HostCapabilities:
    priority_bits = draw(st.integers(5, 8))
    return HostCapabilities(
        a3v=draw(st.booleans()),
        priority_bits=priority_bits,
        preemption_bits=draw(st.integers(5, min(priority_bits, 7))),
        id_bits=draw(st.sampled_from([16, 24])),
        seis=draw(st.booleans()),
        list_registers=draw(st.integers(1, 16)),
        tds=draw(st.booleans()),
    )


@pytest.mark.rule("HOST-1")
@given(hosts())
def test_a_host_survives_its_vtr(host: HostCapabilities) -> None:
    assert HostCapabilities.from_vtr(host.to_vtr()) == host


@pytest.mark.rule("HOST-1")
@given(hosts(), st.booleans(), st.booleans())
def test_vtr_says_what_construct_reads(host: HostCapabilities, gicv4: bool, dvim: bool) -> None:
    value = host.to_vtr() ^ gicv4 << 20 | dvim << 18
    parsed = VTR.bits.parse(value.to_bytes(8, "big"))
    assert HostCapabilities.from_vtr(value) == HostCapabilities(
        a3v=bool(parsed.A3V),
        priority_bits=parsed.PRIbits + 1,
        preemption_bits=parsed.PREbits + 1,
        id_bits=16 + 8 * parsed.IDbits,
        seis=bool(parsed.SEIS),
        list_registers=parsed.ListRegs + 1,
        tds=bool(parsed.TDS),
    )
    assert (parsed.nV4, parsed.DVIM) == (not gicv4, dvim)


@pytest.mark.rule("HOST-1")
@pytest.mark.parametrize(
    ("value", "host"),
    [
        (0x9018_0003, HostCapabilities(a3v=False)),
        (0x9038_0003, HostCapabilities(a3v=True)),
        (0x9058_0003, HostCapabilities(a3v=False, seis=True)),
        (0x9098_0003, HostCapabilities(a3v=False, id_bits=24)),
        (0xB018_0003, HostCapabilities(a3v=False, priority_bits=6)),
        (0xF818_0003, HostCapabilities(a3v=False, priority_bits=8, preemption_bits=7)),
        (0x9010_000F, HostCapabilities(a3v=False, list_registers=16, tds=False)),
    ],
)
def test_the_bits_of_vtr_are_where_arm_puts_them(value: int, host: HostCapabilities) -> None:
    assert HostCapabilities.from_vtr(value) == host
    assert host.to_vtr() == value


@pytest.mark.rule("HOST-3")
@pytest.mark.parametrize(
    ("name", "bit"), [("En", 0), ("TC", 10), ("TALL0", 11), ("TALL1", 12), ("TSEI", 13), ("TDIR", 14), ("DVIM", 15)]
)
def test_the_bits_of_hcr_are_where_arm_puts_them(name: str, bit: int) -> None:
    assert HCR.encode({name: 1}) == 1 << bit
    assert HCR.bits.parse((1 << bit).to_bytes(8, "big"))[name] == 1


@pytest.mark.rule("HOST-2")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0x7018_0003, "priority_bits is 5 to 8, not 4"),
        (0x8C18_0003, "preemption_bits is 5 to 5, not 4"),
        (0x9418_0003, "preemption_bits is 5 to 5, not 6"),
        (0xFC18_0003, "preemption_bits is 5 to 7, not 8"),
        (0x9118_0003, "IDbits is 0 or 1; 2 is reserved"),
        (0x9018_0010, "list_registers is 1 to 16, not 17"),
    ],
)
def test_a_vtr_that_cannot_be_is_refused(value: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        HostCapabilities.from_vtr(value)


@pytest.mark.rule("HOST-2")
def test_a_view_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^priority_bits is 4 to 8, not 3$"):
        CpuInterfaceView(a3v=True, priority_bits=3)
    with pytest.raises(ConfigError, match=r"^priority_bits is 4 to 8, not 9$"):
        CpuInterfaceView(a3v=True, priority_bits=9)
    with pytest.raises(ConfigError, match=r"^id_bits is 16 or 24, not 17$"):
        CpuInterfaceView(a3v=True, id_bits=17)
    with pytest.raises(ConfigError, match=r"^id_bits is 16 or 24, not 32$"):
        HostCapabilities(a3v=True, id_bits=32)
    with pytest.raises(ConfigError, match=r"^IDbits is 0 or 1; 7 is reserved$"):
        CpuInterfaceView.from_ctlr(0x3C00)


@pytest.mark.rule("HOST-14")
@pytest.mark.parametrize("a3v", [False, True])
@pytest.mark.parametrize("seis", [False, True])
@pytest.mark.parametrize("id_bits", [16, 24])
@pytest.mark.parametrize("priority_bits", [4, 5, 6, 7, 8])
def test_a_saved_ctlr_tells_the_view(a3v: bool, seis: bool, id_bits: int, priority_bits: int) -> None:
    fields = {
        "A3V": a3v,
        "SEIS": seis,
        "IDbits": id_bits // 8 - 2,
        "PRIbits": priority_bits - 1,
        # What the guest set is no part of the view.
        "EOImode": 1,
        "CBPR": 1,
    }
    view = CpuInterfaceView.from_ctlr(CTLR.encode(fields))
    assert view == CpuInterfaceView(a3v, priority_bits, id_bits, seis)


@pytest.mark.rule("HOST-14")
@pytest.mark.parametrize(("priority_bits", "preemption_bits"), [(4, 4), (5, 5), (6, 6), (7, 7), (8, 7)])
def test_a_view_preempts_by_every_priority_bit_but_the_eighth(priority_bits: int, preemption_bits: int) -> None:
    assert CpuInterfaceView(a3v=True, priority_bits=priority_bits).preemption_bits == preemption_bits
