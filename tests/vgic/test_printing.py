"""What objects say of themselves, and what can be copied; the same on the interpreted and the compiled core."""

import copy
import pickle

import pytest

import vgic
from its_driver import vm
from vgic import Config, RedistributorRegion, Topology

CONFIGS = [
    Config(Topology.kvm(4)),
    Config(Topology([7, 0x0100_0000, 3], aarch32=[0, 2]), spis=64, profile=vgic.QEMU, its=(0x0808_0000,), a3v=True),
    Config(Topology([0]), redistributor_regions=(RedistributorRegion(0x0900_0000, 4),), profile=vgic.KVM),
]


def running() -> vgic.Gic:
    return vm()[0].gic


@pytest.mark.rule("API-13")
def test_objects_say_briefly_what_they_are() -> None:
    gic = running()
    ram = vgic.Ram.zeroed(0x4000_0000, 0x1000)
    shown = {
        "<Gic arch: 1 vCPU, 224 SPIs>": vgic.Gic(Config(Topology([0]))),
        "<Gic arch: 1 vCPU, 224 SPIs, two Security states>": vgic.Gic(Config(Topology([0]), security="two")),
        "<Gic arch: 1 vCPU, 224 SPIs, 1 list register>": vgic.Gic(Config(Topology([0]), list_registers=1)),
        "<Gic arch: 4 vCPUs, 32 SPIs, LPIs, 1 ITS>": gic,
        "<Gic arch: 2 vCPUs, 0 SPIs, LPIs, 2 ITSes>": vgic.Gic(
            Config(Topology.kvm(2), spis=0, its=(0x0808_0000, 0x0900_0000))
        ),
        f"<Spi {gic.spi(40)}>": gic.spi(40),
        f"<Interrupt {gic.ppi(1, 27)}>": gic.ppi(1, 27),
        f"<Lpi {gic.lpi(2, 8192)}>": gic.lpi(2, 8192),
        "<Its 0: 16 bits of DeviceID, 16 of EventID, enabled>": gic.its(),
        "<Ram 0x40000000-0x40000fff>": ram,
        "<Ram 0x0, no bytes>": vgic.Ram.zeroed(0, 0),
        "RamRegions([<Ram 0x40000000-0x40000fff>])": vgic.RamRegions([ram]),
        "<Topology of 1 vCPU: 0.0.0.0>": Topology([0]),
        "<Profile kvm>": vgic.KVM,
        "RedistributorRegion(0x80a0000, 4)": RedistributorRegion(0x080A_0000, 4),
        "<State arch: 1 vCPU, 6 registers>": vgic.State.of(vgic.Gic(Config(Topology([0]), spis=0))),
        "Config(<Topology of 4 vCPUs: 0.0.0.0, 0.0.0.1, 0.0.0.2, 0.0.0.3>)": CONFIGS[0],
        "Config(<Topology of 3 vCPUs: 0.0.0.7, 1.0.0.0, 0.0.0.3>, spis=64, profile=<Profile qemu>, a3v=True,"
        " its=(0x8080000,))": CONFIGS[1],
        "Config(<Topology of 1 vCPU: 0.0.0.0>, profile=<Profile kvm>,"
        " redistributor_regions=(RedistributorRegion(0x9000000, 4),))": CONFIGS[2],
        "Config(<Topology of 1 vCPU: 0.0.0.0>, gicd_base=0x9000000, its=(0x8080000, 0x80a0000))": Config(
            Topology([0]), gicd_base=0x0900_0000, its=(0x0808_0000, 0x080A_0000)
        ),
    }
    assert [repr(thing) for thing in shown.values()] == list(shown)


@pytest.mark.rule("API-13", "ITS-23")
def test_what_became_of_a_message_is_printed_in_words() -> None:
    driver = vm()[0]
    driver.map_device(8, 4)
    driver.map_event(8, 0, cpu=1)
    assert str(driver.gic.msi(8, 0)) == "delivered"
    assert str(driver.gic.msi(9, 0)) == "blocked: no MAPD maps the DeviceID"


@pytest.mark.rule("API-14")
@pytest.mark.parametrize("config", CONFIGS, ids=["plain", "qemu", "kvm"])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_what_a_vm_is_and_its_state_can_be_copied(config: Config, copied) -> None:
    assert copied(config) == config
    assert copied(config.topology) == config.topology
    assert hash(copied(config.topology)) == hash(config.topology)
    assert copied(config.topology).find(config.topology.affinities[-1]) == len(config.topology) - 1
    state = vgic.State.of(vgic.Gic(config))
    assert copied(state) == state
    assert copied(state.data) == state.data
    assert vgic.Gic(copied(config)).save() == state.data


@pytest.mark.rule("API-14")
def test_topologies_are_equal_where_their_vcpus_are() -> None:
    assert Topology([0, 1]) == Topology.kvm(2)
    assert len({Topology([0, 1]), Topology.kvm(2)}) == 1
    assert Topology([0, 1]) != Topology([1, 0])
    assert Topology([0, 1]) != Topology([0, 1], aarch32=[1])
    assert Topology([0, 1]) != (0, 1)


@pytest.mark.rule("API-14")
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("Gic", lambda gic: gic),
        ("Spi", lambda gic: gic.spi(40)),
        ("Interrupt", lambda gic: gic.ppi(0, 27)),
        ("Lpi", lambda gic: gic.lpi(0, 8192)),
        ("Its", lambda gic: gic.its()),
    ],
)
def test_what_runs_cannot_be_copied_and_says_what_can(kind: str, thing, copied) -> None:
    with pytest.raises(TypeError) as caught:
        copied(thing(running()))
    assert str(caught.value) == (
        f"a {kind} is part of a VM that runs, with its lines and memory, and cannot be copied or pickled:"
        " vgic.State.of(gic) holds its state, from which State.build makes another Gic"
    )


@pytest.mark.rule("API-5")
def test_a_view_shows_what_was_restored() -> None:
    config = Config(Topology.kvm(2), spis=32, lpis=True)
    other = vgic.Gic(config, memory=vgic.Ram.zeroed(0x4000_0000, 0x1_0000))
    gic = vgic.Gic(config, memory=vgic.Ram.zeroed(0x4000_0000, 0x1_0000))
    spi, ppi = gic.spi(40), gic.ppi(1, 27)
    other.spi(40).set_level(True)
    other.ppi(1, 27).set_level(True)
    other.write(config.gicd_base + 0x400 + 40, 1, 0x88)
    other.write(config.gicd_base + 0x6000 + 8 * 40, 8, 1)
    gic.restore(other.save())
    assert (spi.level, spi.priority, spi.target, ppi.level) == (True, 0x88, 1, True)
    spi.set_level(False)
    assert not gic.spi(40).level
    assert other.spi(40).level


@pytest.mark.rule("API-2")
def test_levels_and_directions_may_be_numbers() -> None:
    gic = running()
    for level in (1, 0, True, False):
        gic.spi(40).set_level(level)
        assert gic.spi(40).level == bool(level)
    assert gic.sysreg_defined(vgic.ICC_IAR1_EL1, 1) is gic.sysreg_defined(vgic.ICC_IAR1_EL1, True) is False
    assert gic.sysreg_defined(vgic.ICC_IAR1_EL1, 0) is gic.sysreg_defined(vgic.ICC_IAR1_EL1, False) is True


@pytest.mark.rule("API-2")
@pytest.mark.parametrize("number", [1 << 62, 1 << 63, 1 << 64, 1 << 200, -1 << 63, -1 << 200])
@pytest.mark.parametrize(
    "call",
    [
        lambda gic, number: gic.sgi_targets(number, vgic.ICC_SGI1R_EL1, 0),
        lambda gic, number: gic.ppi(number, 27),
        lambda gic, number: gic.ppi(0, number),
        lambda gic, number: gic.spi(number),
        lambda gic, number: gic.interrupt(0, number),
        lambda gic, number: gic.interrupt(number, 0),
        lambda gic, number: gic.lpi(number, 8192),
        lambda gic, number: gic.lpi(0, number),
        lambda gic, number: gic.its(number),
        lambda gic, number: gic.msi(number, 0),
        lambda gic, number: gic.msi(0, number),
        lambda gic, number: gic.msi(0, 0, number),
        lambda gic, number: gic.bank(number, 0),
        lambda gic, number: gic.bank(0, number),
        lambda gic, number: gic.reset_cpu(number),
        lambda gic, number: gic.write_mpidr(number, 0),
        lambda gic, number: gic.mpidr(number),
        lambda gic, number: gic.wake_request(number),
        lambda gic, number: gic.outputs(number),
        lambda gic, number: gic.highest_pending(number),
    ],
)
def test_a_number_of_any_size_is_refused_by_name(call, number: int) -> None:
    with pytest.raises(vgic.ConfigError, match=f"{number:#x}|{number}"):
        call(running(), number)


@pytest.mark.rule("API-2")
@pytest.mark.parametrize("number", [4, 1 << 62, 1 << 63, 1 << 200, -1 << 200])
def test_the_vcpu_of_a_system_register_is_one_that_there_is(number: int) -> None:
    gic = running()
    # The compiled core takes it as an integer of 64 bits, since it is on the way of every access.
    error = TypeError if vgic.COMPILED and not -1 << 63 <= number < 1 << 63 else vgic.ConfigError
    with pytest.raises(error, match="i64" if error is TypeError else f"{number}"):
        gic.sysreg_read(number, vgic.ICC_PMR_EL1)
    with pytest.raises(error, match="i64" if error is TypeError else f"{number}"):
        gic.sysreg_write(number, vgic.ICC_PMR_EL1, 0)


@pytest.mark.rule("API-2")
def test_what_is_asked_of_an_its_may_have_any_size() -> None:
    its = running().its()
    for number in (1 << 62, 1 << 63, 1 << 200, -1):
        assert isinstance(its.translate(number, 0), vgic.ItsError)
        assert isinstance(its.translate(0, number), vgic.ItsError)
    assert running().find(1 << 200) is None
    assert running().find(-1) is None
