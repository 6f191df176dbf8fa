"""A saved state as a JSON document and back: addresses and register values become hexadecimal text, for people.

Reading believes nothing: whatever the document is, the outcome is a `SavedState` or a StateError that names what is
wrong. Whether a VM can be like that is not asked here; `config_of` and `Gic.restore` do.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias, TypeVar, get_args

from vgic.config import MAINTENANCE_PPI, Config, OneOfNChoice, RedistributorRegion, SecurityStates
from vgic.errors import StateError
from vgic.profiles import Profile, profile_named
from vgic.state.saving import RegionDescription, SavedState, VmDescription
from vgic.topology import Topology

__all__ = ["Document", "config_of", "from_document", "to_document"]

Document: TypeAlias = dict[str, object]
"""A JSON object."""

ItemT = TypeVar("ItemT")

_HEX: Final = re.compile(r"0x[0-9a-f]{1,32}", re.ASCII)
_CHOICES: Final[dict[str, OneOfNChoice]] = {choice: choice for choice in get_args(OneOfNChoice)}
_SECURITY: Final[dict[str, SecurityStates]] = {states: states for states in get_args(SecurityStates)}


def to_document(state: SavedState) -> Document:
    """What a file of the latest version holds."""
    vm = state["vm"]
    regions = [{"base": hex(region["base"]), "count": region["count"]} for region in vm["redistributor_regions"]]
    return {
        "vm": {
            **vm,
            "its": [hex(base) for base in vm["its"]],
            "gicd_base": hex(vm["gicd_base"]),
            "redistributor_regions": regions,
        },
        "registers": {name: hex(value) for name, value in state["registers"].items()},
    }


def from_document(document: Document) -> SavedState:
    """The state that a document of the latest version holds. Raises StateError."""
    _only(document, "", SavedState.__annotations__)
    vm = _take(document, "vm", dict)
    registers = _take(document, "registers", dict)
    return {"vm": _vm(vm), "registers": {name: _hexadecimal(registers, name) for name in registers}}


def config_of(vm: VmDescription, profile: Profile | None = None) -> Config:
    """The configuration of a VM; `profile` is its profile where it is none of `vgic.PROFILES`.

    Raises StateError for another profile than the VM's, ConfigError and AffinityError for a VM that cannot be.
    """
    if profile is not None and profile.name != vm["profile"]:
        raise StateError(f"the profile of the VM is {vm['profile']!r}, not {profile.name!r}")
    topology = Topology.from_text(vm["affinities"])
    return Config(
        topology=Topology(topology.affinities, vm["aarch32"], vm.get("processors")),
        spis=vm["spis"],
        profile=profile_named(vm["profile"]) if profile is None else profile,
        priority_bits=vm["priority_bits"],
        gicd_base=vm["gicd_base"],
        redistributor_regions=tuple(
            RedistributorRegion(region["base"], region["count"]) for region in vm["redistributor_regions"]
        ),
        a3v=vm["a3v"],
        rss=vm["rss"],
        one_of_n=vm["one_of_n"],
        one_of_n_choice=vm["one_of_n_choice"],
        lpis=vm["lpis"],
        lpi_id_bits=vm["lpi_id_bits"],
        its=tuple(vm["its"]),
        extended_spis=vm.get("extended_spis", 0),
        extended_ppis=vm.get("extended_ppis", 0),
        nmi=vm.get("nmi", False),
        list_registers=vm.get("list_registers", 0),
        maintenance_intid=vm.get("maintenance_intid", MAINTENANCE_PPI),
        security=vm.get("security", "one"),
        vlpi_frames=vm.get("vlpi_frames", False),
        reset_group=vm.get("reset_group"),
    )


def _vm(vm: Document) -> VmDescription:
    _only(vm, "vm.", VmDescription.__annotations__, VmDescription.__optional_keys__)
    described: VmDescription = {
        "profile": _take(vm, "profile", str),
        "affinities": _items(vm, "affinities", str),
        "aarch32": _items(vm, "aarch32", int),
        "spis": _take(vm, "spis", int),
        "priority_bits": _take(vm, "priority_bits", int),
        "a3v": _take(vm, "a3v", bool),
        "rss": _take(vm, "rss", bool),
        "one_of_n": _take(vm, "one_of_n", bool),
        "one_of_n_choice": _choice(vm, "one_of_n_choice", _CHOICES),
        "lpis": _take(vm, "lpis", bool),
        "lpi_id_bits": _take(vm, "lpi_id_bits", int),
        "its": [_number(item, "its") for item in _items(vm, "its", str)],
        "gicd_base": _hexadecimal(vm, "gicd_base"),
        "redistributor_regions": [_region(region) for region in _items(vm, "redistributor_regions", dict)],
    }
    if "processors" in vm:
        described["processors"] = _items(vm, "processors", int)
    if "extended_spis" in vm:
        described["extended_spis"] = _take(vm, "extended_spis", int)
    if "extended_ppis" in vm:
        described["extended_ppis"] = _take(vm, "extended_ppis", int)
    if "vlpi_frames" in vm:
        described["vlpi_frames"] = _take(vm, "vlpi_frames", bool)
    if "nmi" in vm:
        described["nmi"] = _take(vm, "nmi", bool)
    if "list_registers" in vm:
        described["list_registers"] = _take(vm, "list_registers", int)
    if "maintenance_intid" in vm:
        described["maintenance_intid"] = _take(vm, "maintenance_intid", int)
    if "security" in vm:
        described["security"] = _choice(vm, "security", _SECURITY)
    if "reset_group" in vm:
        described["reset_group"] = _take(vm, "reset_group", int)
    return described


def _region(region: Document) -> RegionDescription:
    _only(region, "redistributor_regions.", RegionDescription.__annotations__)
    return {"base": _hexadecimal(region, "base"), "count": _take(region, "count", int)}


def _only(
    document: Document, where: str, known: Mapping[str, object], optional: AbstractSet[str] = frozenset()
) -> None:
    for key in document.keys() - known.keys():
        raise StateError(f"{where}{key} means nothing in a state")
    for key in known.keys() - document.keys() - optional:
        raise StateError(f"{where}{key} is missing")


def _take(document: Document, key: str, kind: type[ItemT]) -> ItemT:
    return _expect(document[key], key, kind)


def _choice(document: Document, key: str, choices: Mapping[str, ItemT]) -> ItemT:
    choice = _take(document, key, str)
    if choice not in choices:
        raise StateError(f"{key} is {choice!r}, none of {', '.join(choices)}")
    return choices[choice]


def _items(document: Document, key: str, kind: type[ItemT]) -> list[ItemT]:
    return [_expect(item, key, kind) for item in _expect(document[key], key, list)]


def _expect(value: object, key: str, kind: type[ItemT]) -> ItemT:
    # JSON's true is no number, although Python's is.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise StateError(f"{key} is {value!r}, which is no {kind.__name__}")
    return value


def _hexadecimal(document: Document, key: str) -> int:
    return _number(_take(document, key, str), key)


def _number(text: str, key: str) -> int:
    if not _HEX.fullmatch(text):
        raise StateError(f"{key} is {text!r}, which is no hexadecimal number such as 0x1f")
    return int(text, 16)
