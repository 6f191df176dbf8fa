"""What an embedder hands in: a slip is told where it is made, not in the middle of a guest's access."""

import re
from dataclasses import fields
from itertools import count, repeat

import pytest

import vgic
from guest import Recorder
from vgic import ARCH, AffinityError, Config, ConfigError, RedistributorRegion, StateError, Topology
from vgic.kvm import VgicV3Device

TWO = Topology.kvm(2)


class Deaf:
    """No method of a protocol."""


class Short:
    """Every method, with an argument too few."""

    def set_lines(self, cpu: int, irq: bool) -> None: ...
    def illegal_access(self) -> None: ...
    def illegal_sysreg(self) -> None: ...
    def is_ram(self, address: int) -> bool: ...
    def read(self, address: int) -> bytes: ...
    def write(self, address: int) -> None: ...


class HalfItsObserver(Recorder):
    its_command_error = 5


@pytest.mark.rule("API-12")
@pytest.mark.parametrize(
    ("role", "value", "message"),
    [
        ("lines", Deaf(), "lines is a Deaf, which has no method set_lines: see vgic.LineSink"),
        ("lines", print, "lines is a builtin_function_or_method, which has no method set_lines: see vgic.LineSink"),
        ("lines", Recorder, "lines is the class Recorder, not an object of it"),
        ("lines", Short(), "lines is a Short, whose method set_lines does not take 3 arguments: see vgic.LineSink"),
        ("observer", Deaf(), "observer is a Deaf, which has no method illegal_access: see vgic.Observer"),
        (
            "observer",
            Short(),
            "observer is a Short, whose method illegal_access does not take 1 argument: see vgic.Observer",
        ),
        (
            "observer",
            HalfItsObserver(),
            "observer is a HalfItsObserver, which has no method its_command_error: see vgic.Observer",
        ),
        ("memory", bytearray(8), "memory is a bytearray, which has no method is_ram: see vgic.GuestMemory"),
        (
            "memory",
            Short(),
            "memory is a Short, whose method is_ram does not take 2 arguments: see vgic.GuestMemory",
        ),
    ],
)
def test_what_lacks_a_method_of_its_protocol_is_refused_at_once(role: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        vgic.Gic(Config(TWO), **{role: value})
    assert str(caught.value) == message
    with pytest.raises(ConfigError, match=f"^{role} is "):
        vgic.State.of(vgic.Gic(Config(TWO))).build(**{role: value})
    with pytest.raises(ConfigError, match=f"^{role} is "):
        VgicV3Device(**{role: value})


@pytest.mark.rule("API-12")
def test_what_has_more_than_its_protocol_is_taken() -> None:
    class Wide:
        def set_lines(self, *levels: object) -> None: ...
        def illegal_access(self, access: object, more: int = 0) -> None: ...
        def illegal_sysreg(self, access: object, **more: int) -> None: ...

    ram = vgic.Ram.zeroed(0x4000_0000, 0x1000)
    assert vgic.Gic(Config(TWO), lines=Wide(), observer=Wide(), memory=ram).memory is ram
    assert vgic.Gic(Config(TWO), memory=vgic.RamRegions([ram])).outputs(0) == (False, False)


@pytest.mark.rule("API-12")
@pytest.mark.parametrize("value", [4, TWO, None, ARCH])
def test_a_gic_is_made_of_a_config(value: object) -> None:
    # The compiled core looks at the type by itself.
    with pytest.raises((ConfigError, TypeError), match=r"[Cc]onfig"):
        vgic.Gic(value)  # type: ignore[arg-type]


@pytest.mark.rule("API-12")
@pytest.mark.parametrize("name", [item.name for item in fields(Config) if item.type in (int, int | None)])
def test_true_is_no_number_to_a_config(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} .* not True$"):
        Config(TWO, **{name: True})


@pytest.mark.rule("API-12")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topology": 4}, "topology is a Topology, not 4: Topology.kvm(4) is one of 4 vCPUs"),
        ({"topology": [0, 1]}, "topology is a Topology, not [0, 1]: Topology.kvm(4) is one of 4 vCPUs"),
        ({"profile": "kvm"}, "profile is a Profile, not 'kvm': vgic.profile_named finds one by its name"),
        ({"spis": "224"}, "spis is an integer, not '224'"),
        ({"spis": 64.0}, "spis is an integer, not 64.0"),
        ({"spis": False}, "spis is an integer, not False"),
        ({"priority_bits": 5.5}, "priority_bits is an integer, not 5.5"),
        ({"gicd_base": "0x8000000"}, "gicd_base is an integer, not '0x8000000'"),
        ({"lpi_id_bits": None}, "lpi_id_bits is an integer, not None"),
        ({"reset_group": True}, "reset_group is 0, 1 or None, not True"),
        ({"reset_group": 1.0}, "reset_group is 0, 1 or None, not 1.0"),
        ({"reset_group": 2}, "reset_group is 0, 1 or None, not 2"),
        ({"a3v": "no"}, "a3v is True, False or None, not 'no'"),
        ({"rss": 1}, "rss is True, False or None, not 1"),
        ({"one_of_n": 0}, "one_of_n is True, False or None, not 0"),
        ({"lpis": 0}, "lpis is True, False or None, not 0"),
        ({"its": 0x0808_0000}, "its is a tuple of addresses, not 134742016"),
        ({"its": "0x8080000"}, "its is a tuple of addresses, not '0x8080000'"),
        ({"its": ("0x8080000",)}, "each of its is an integer, not '0x8080000'"),
        ({"its": (True,)}, "each of its is an integer, not True"),
        (
            {"redistributor_regions": 0x080A_0000},
            "redistributor_regions is a tuple of RedistributorRegion, not 134873088",
        ),
        (
            {"redistributor_regions": ((0x080A_0000, 2),)},
            "each of redistributor_regions is a RedistributorRegion, not (134873088, 2):"
            " RedistributorRegion(base, count) is one",
        ),
    ],
)
def test_a_config_takes_no_value_for_another(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**{"topology": TWO, **arguments})
    assert str(caught.value) == message


@pytest.mark.rule("API-12")
def test_a_region_takes_no_value_for_another() -> None:
    with pytest.raises(ConfigError, match=r"^base is an integer, not '0x80a0000'$"):
        RedistributorRegion("0x80a0000", 4)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^count is an integer, not 4.0$"):
        RedistributorRegion(0x080A_0000, 4.0)  # type: ignore[arg-type]


@pytest.mark.rule("API-12")
def test_lists_do_for_tuples() -> None:
    region = RedistributorRegion(0x080A_0000, 2)
    lists = Config(TWO, redistributor_regions=[region], its=[0x0808_0000])  # type: ignore[arg-type]
    assert lists == Config(TWO, redistributor_regions=(region,), its=(0x0808_0000,))
    assert lists.its == (0x0808_0000,)


@pytest.mark.rule("API-12", "API-3")
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Topology.from_text("0.0.0.0"),
            ConfigError,
            "dotted is a list of texts such as ['0.0.0.0', '0.0.0.1'], not '0.0.0.0'",
        ),
        (lambda: Topology.from_text([0]), AffinityError, "vCPU 0: affinity 0 is no text such as '0.0.0.1'"),
        (lambda: Topology(4), ConfigError, "affinities is a list of packed affinities, not 4"),
        (lambda: Topology("01"), ConfigError, "affinities is a list of packed affinities, not '01'"),
        (lambda: Topology(b"\0\1"), ConfigError, r"affinities is a list of packed affinities, not b'\x00\x01'"),
        (lambda: Topology([0, 1.0]), AffinityError, "vCPU 1: affinity 1.0 is no integer"),
        (lambda: Topology([0, True]), AffinityError, "vCPU 1: affinity True is no integer"),
        (lambda: Topology(["0.0.0.0"]), AffinityError, "vCPU 0: affinity '0.0.0.0' is no integer"),
        (lambda: Topology([0, 1], aarch32=1), ConfigError, "aarch32 is a list of vCPUs, not 1"),
        (lambda: Topology([0, 1], aarch32=[2]), ConfigError, "aarch32 names vCPU 2: this VM has vCPUs 0 to 1"),
        (lambda: Topology([0, 1], [True]), ConfigError, "aarch32 names vCPU True: this VM has vCPUs 0 to 1"),
        (lambda: Topology.kvm(1_000_000_000_000), ConfigError, "a VM has 1 to 65536 vCPUs, not 1000000000000"),
        (lambda: Topology(range(1 << 40)), ConfigError, f"a VM has 1 to 65536 vCPUs, not {1 << 40}"),
        (lambda: Topology(count()), ConfigError, "a VM has 1 to 65536 vCPUs, not 65537"),
        (lambda: Topology.from_text(repeat("0.0.0.0")), ConfigError, "a VM has 1 to 65536 vCPUs, not 65537"),
        (lambda: vgic.profile_named(vgic.KVM), ConfigError, "no profile <Profile kvm>"),
    ],
)
def test_a_topology_takes_no_value_for_another(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + re.escape(message)):
        make()


@pytest.mark.rule("API-12")
def test_true_is_no_number_of_vcpus_but_to_the_compiled_core() -> None:
    if vgic.COMPILED:
        assert len(Topology.kvm(True)) == 1
    else:
        with pytest.raises(ConfigError, match="int"):
            Topology.kvm(True)


@pytest.mark.rule("API-12")
@pytest.mark.parametrize("cpus", ["4", 4.0, None])
def test_a_number_of_vcpus_is_an_integer(cpus: object) -> None:
    # The compiled core looks at the type of a float, a text and None by itself.
    with pytest.raises((ConfigError, TypeError), match="int"):
        Topology.kvm(cpus)  # type: ignore[arg-type]


@pytest.mark.rule("API-12")
def test_a_state_is_what_save_returns() -> None:
    gic = vgic.Gic(Config(TWO))
    with pytest.raises(StateError, match=r"^a state is what Gic.save returns, not a State$"):
        gic.restore(vgic.State.of(gic))  # type: ignore[arg-type]
    with pytest.raises(StateError, match=r"^the data of a State is what Gic.save returns, not a Gic$"):
        vgic.State(gic)  # type: ignore[arg-type]
