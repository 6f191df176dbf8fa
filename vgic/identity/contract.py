"""Contracts as plain data: what a VM was promised, wherever it runs; JSON in and out. Rule IDENT-21."""

import json
from dataclasses import dataclass
from typing import Any, Final, Self

from vgic.errors import ConfigError
from vgic.host.capabilities import CpuInterfaceView
from vgic.identity.documents import (
    HostError,
    as_boolean,
    as_list,
    as_object,
    as_registers,
    as_text,
    hexadecimal,
    parsed,
)
from vgic.identity.errata import checked_targets
from vgic.identity.erratum import Implementation
from vgic.identity.host import Cluster, Cpu, Host
from vgic.identity.shown import kernels_of, shown_by

__all__ = ["CONTRACT_FORMAT", "Contract"]

CONTRACT_FORMAT: Final = "vgic-contract"
VERSION: Final = 1

_NEEDED: Final = {"format", "version", "name", "registers"}
_OPTIONAL: Final = frozenset({"has_run", "writable_implementation_ids", "gic", "targets", "coherent_dma"})
_GIC: Final = {"a3v", "priority_bits", "id_bits", "seis"}
_TARGET: Final = ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1")


@dataclass(frozen=True)
class Contract:
    """What a VM was promised of its CPUs and their GIC."""

    name: str
    promised: Cpu
    """The guest's view. A register that is not there is one of which nobody has told what the guest saw."""
    has_run: bool = False
    """The guest has seen it: what it saw is settled."""
    writable_implementation_ids: bool = False
    """The VMM enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, so that it can write MIDR_EL1, REVIDR_EL1 and AIDR_EL1."""
    gic: CpuInterfaceView | None = None
    """The CPU interface of its GICv3; None where it has none, or nobody has told."""
    targets: tuple[Implementation, ...] = ()
    """The CPUs that the guest has been told it may run on; none where it goes by its own MIDR_EL1."""
    coherent_dma: bool | None = None
    """No device of the VM bypasses caches; None where nobody has told."""

    @classmethod
    def of_host(cls, host: Host, cluster: Cluster, kernel: str | None = None) -> Self:
        """What a host has shown a VM that has run since it started on this cluster, as far as can be told.

        `kernel` is the version of its Linux, where its file does not tell.
        """
        name = f"{host.name}, {cluster.name}" if len(host.clusters) > 1 else host.name
        kernels = kernels_of(host, kernel)
        # Kernels that both make caches make the same.
        alike = len(kernels) == 1 or all(one.generated_caches for one in kernels)
        return cls(name, shown_by(host, cluster, kernels[0] if alike else None), has_run=True)

    def document(self) -> dict[str, Any]:
        """The contract as what JSON has: `from_document` reads it."""
        document: dict[str, Any] = {
            "format": CONTRACT_FORMAT,
            "version": VERSION,
            "name": self.name,
            "has_run": self.has_run,
            "writable_implementation_ids": self.writable_implementation_ids,
            "registers": hexadecimal(self.promised.registers),
        }
        if self.gic is not None:
            document["gic"] = {entry: getattr(self.gic, entry) for entry in sorted(_GIC)}
        if self.coherent_dma is not None:
            document["coherent_dma"] = self.coherent_dma
        if self.targets:
            document["targets"] = [hexadecimal(dict(zip(_TARGET, target, strict=True))) for target in self.targets]
        return document

    def to_json(self) -> str:
        """The contract as a file holds it: JSON, ending in a newline."""
        return json.dumps(self.document(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The contract in a file. Raises HostError that names the place."""
        return cls.from_document(parsed(text))

    @classmethod
    def from_document(cls, document: object) -> Self:
        """The contract that `document` made. Raises HostError that names the place."""
        top = as_object(document, "the document", _NEEDED, _OPTIONAL)
        if top["format"] != CONTRACT_FORMAT or top["version"] != VERSION:
            raise HostError(f"format and version: expected {CONTRACT_FORMAT!r} and {VERSION}")
        registers = as_registers(top["registers"], "registers")
        dma = top.get("coherent_dma")
        try:
            promised = Cpu(registers)
        except HostError as error:
            raise HostError(f"registers: {error}") from None
        return cls(
            name=as_text(top["name"], "name"),
            promised=promised,
            has_run=as_boolean(top.get("has_run", False), "has_run"),
            writable_implementation_ids=as_boolean(
                top.get("writable_implementation_ids", False), "writable_implementation_ids"
            ),
            gic=_gic(top.get("gic")),
            targets=checked_targets(
                _target(entry, f"targets[{n}]") for n, entry in enumerate(as_list(top, "targets"))
            ),
            coherent_dma=None if dma is None else as_boolean(dma, "coherent_dma"),
        )


def _gic(value: object) -> CpuInterfaceView | None:
    if value is None:
        return None
    entry = as_object(value, "gic", _GIC)
    for key in ("priority_bits", "id_bits"):
        if isinstance(entry[key], bool) or not isinstance(entry[key], int):
            raise HostError(f"gic.{key}: expected a number of bits")
    try:
        return CpuInterfaceView(
            a3v=as_boolean(entry["a3v"], "gic.a3v"),
            priority_bits=entry["priority_bits"],
            id_bits=entry["id_bits"],
            seis=as_boolean(entry["seis"], "gic.seis"),
        )
    except ConfigError as error:
        raise HostError(f"gic: {error}") from None


def _target(value: object, place: str) -> Implementation:
    entry = as_registers(as_object(value, place, set(_TARGET)), place)
    return Implementation(*(entry[name] for name in _TARGET))
