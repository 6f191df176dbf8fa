"""The experiment `mismatch`: a vCPU with an Aff3 on live KVMs, and what the model shows of the same VM.

What a guest sees is asked of a guest: it runs on the vCPU concerned and reads its own registers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final, Protocol

import vgic
from vgic import affinity
from vgic.kvm import Address, Control, Group
from vgic.layouts import gicd, gicr
from vgic_tools.affinity.study import Study, Summary
from vgic_tools.judges import kvm_abi
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.guest import ENTRY, LEAVE, RAM, RAM_SIZE, Guest, Kind, Operation, mrs, msr, read, write
from vgic_tools.judges.kernels import fetch_kernel
from vgic_tools.judges.kvm_host import KvmHost

__all__ = ["AS_KVM", "MODELS", "WITH_AFF3", "MismatchPoint", "MismatchRow", "measure_mismatch", "mismatch_study"]

OTHER: Final = 0x0100_0001
"""The packed affinity of vCPU 1: Aff3 = 1, Aff0 = 1."""

AS_KVM: Final = "the model as KVM is"
WITH_AFF3: Final = "the model, a VM with Aff3"

MODELS: Final = {
    name: vgic.Config(vgic.Topology([0, OTHER]), spis=32, profile=vgic.KVM, a3v=a3v)
    for name, a3v in ((AS_KVM, False), (WITH_AFF3, True))
}
"""The same VM with two choices."""

_GICD: Final = MODELS[WITH_AFF3].gicd_base
_GICR: Final = MODELS[WITH_AFF3].redistributor_regions[0].base
_FRAME: Final = 0x2_0000
_SGI_BASE: Final = 0x1_0000
_SPI: Final = 33
_SGI: Final = 1
_ROUTER: Final = _GICD + gicd.IROUTER.offset + 8 * (_SPI - 32)
_ISENABLER: Final = 0x100
"""Where both frames have it: GICD_ISENABLER<n> from n = 1 on, GICR_ISENABLER0."""
_TYPER: Final = _GICR + _FRAME + gicr.TYPER.offset
_MPIDR_EL1: Final = 0xC005
_TIMEOUT_MS: Final = 2000

_TEXT: Final = """
A VM has two vCPUs. A VMM writes 0x180000001 to the MPIDR_EL1 of vCPU 1: Aff3 = 1, Aff0 = 1. A guest on it reads its
own MPIDR_EL1 and the GICR_TYPER of its Redistributor, writes its affinity to GICD_IROUTER33 and reads that back.
Then vCPU 0 sends SGI 1 to that affinity, and a device raises SPI 33, and vCPU 1 reads ICC_IAR1_EL1.

A guest finds its Redistributor by its affinity: it has found it where the upper word of GICR_TYPER is what
MPIDR_EL1 says. KVM lets the VMM write the Aff3, compares it in SGIs, and has none in GICR_TYPER and GICD_IROUTER.
In the model a VM has Aff3 everywhere or nowhere, by its own choice and whatever its host has; "as KVM is" shows
that the model can be asked for KVM's behaviour too.

Each KVM is that of one of Debian's arm64 kernels, under QEMU, on a host whose CPU interface has A3V.
"""


class _Machine(Protocol):
    """A VM with a guest on it."""

    def do(self, cpu: int, *operations: Operation) -> list[int]:
        """What a vCPU reads; 0 for an operation that reads nothing."""

    def raise_line(self) -> None:
        """The device of `_SPI` wants attention."""


@dataclass(frozen=True)
class MismatchPoint:
    """What is asked."""

    subject: Annotated[str, "whose GIC: a KVM by the name of its kernel, or the model"]


@dataclass(frozen=True)
class MismatchRow(MismatchPoint):
    """What came out; registers as hexadecimal numbers."""

    version: Annotated[str, "of the kernel, or of the model"]
    mpidr: Annotated[str, "MPIDR_EL1 as the guest on vCPU 1 reads it"]
    typer: Annotated[str, "GICR_TYPER of its Redistributor"]
    found: Annotated[bool, "the guest finds that Redistributor: GICR_TYPER has the affinity that MPIDR_EL1 has"]
    router_written: Annotated[str, "what the guest writes to GICD_IROUTER33"]
    router: Annotated[str, "what it reads back"]
    sgi_arrives: Annotated[bool, "an SGI to this affinity arrives"]
    spi_arrives: Annotated[bool, "the SPI that is routed to it arrives"]


def mismatch_study(kernels: Sequence[str]) -> Study[MismatchPoint, MismatchRow]:
    """The experiment, with these kernels (`vgic_tools.judges.kernels`)."""
    points = [MismatchPoint(name) for name in (*(f"KVM, kernel {kernel}" for kernel in kernels), *MODELS)]
    title = "An Aff3 in MPIDR_EL1 alone"
    return Study("mismatch", title, _TEXT, MismatchRow, points, measure_mismatch, _summary)


def measure_mismatch(point: MismatchPoint) -> MismatchRow:
    """Ask one of them. Raises UsageError where a judge cannot be had."""
    if point.subject in MODELS:
        return _asked(point, f"vgic {vgic.__version__}", _Model(MODELS[point.subject]))
    with KvmHost(fetch_kernel(point.subject.rpartition(" ")[2])) as host:
        return _asked(point, host.release, _Live(host))


def _asked(point: MismatchPoint, version: str, machine: _Machine) -> MismatchRow:
    packed = affinity.to_irouter(OTHER)
    mpidr, typer = machine.do(1, mrs(_MPIDR_EL1), read(_TYPER, 8))
    frame = _GICR + _FRAME + _SGI_BASE
    machine.do(
        1,
        write(_ROUTER, 8, packed),
        write(_GICD + _ISENABLER + 4, 4, 1 << _SPI - 32),
        write(_GICD, 4, 0b10),
        write(frame + _ISENABLER, 4, 1 << _SGI),
        msr(vgic.ICC_PMR_EL1, 0xF8),
        msr(vgic.ICC_IGRPEN1_EL1, 1),
    )
    (router,) = machine.do(1, read(_ROUTER, 8))
    sgi = 1 << 48 | _SGI << 24 | 1 << 1
    machine.do(0, msr(vgic.ICC_SGI1R_EL1, sgi))
    sgi_taken = _taken(machine)
    machine.raise_line()
    return MismatchRow(
        **asdict(point),
        version=version,
        mpidr=f"{mpidr:#x}",
        typer=f"{typer:#x}",
        found=typer >> 32 == affinity.from_mpidr(mpidr),
        router_written=f"{packed:#x}",
        router=f"{router:#x}",
        sgi_arrives=sgi_taken == _SGI,
        spi_arrives=_taken(machine) == _SPI,
    )


def _taken(machine: _Machine) -> int:
    """What vCPU 1 acknowledges, and ends."""
    (intid,) = machine.do(1, mrs(vgic.ICC_IAR1_EL1))
    machine.do(1, msr(vgic.ICC_EOIR1_EL1, intid))
    return intid


class _Model:
    def __init__(self, config: vgic.Config) -> None:
        self.gic = vgic.Gic(config)
        self.gic.wake_all()

    def do(self, cpu: int, *operations: Operation) -> list[int]:
        return [self._one(cpu, operation) for operation in operations]

    def _one(self, cpu: int, operation: Operation) -> int:
        match operation.kind:
            case Kind.READ:
                return self.gic.read(operation.address, operation.size, cpu)
            case Kind.WRITE:
                self.gic.write(operation.address, operation.size, operation.value, cpu)
            case Kind.MRS if operation.encoding == _MPIDR_EL1:
                return self.gic.mpidr(cpu)
            case Kind.MRS:
                return self.gic.sysreg_read(cpu, operation.encoding)
            case Kind.MSR:
                self.gic.sysreg_write(cpu, operation.encoding, operation.value)
        return 0

    def raise_line(self) -> None:
        self.gic.spi(_SPI).set_level(True)


class _Live:
    def __init__(self, host: KvmHost) -> None:
        self.vm = host.create_vm()
        self.vm.add_ram(RAM, RAM_SIZE)
        for mpidr in (None, affinity.to_mpidr(OTHER)):
            self.vm.create_vcpu(mpidr)
        for attr, base in ((Address.DIST, _GICD), (Address.REDIST, _GICR)):
            self.vm.gic.set_attr(Group.ADDR, attr, base)
        self.vm.gic.set_attr(Group.CTRL, Control.INIT)
        self._guest = Guest(self.vm, len(self.vm.vcpus), leave=LEAVE)
        for number, vcpu in enumerate(self.vm.vcpus):
            vcpu.set_reg(kvm_abi.PC, ENTRY)
            vcpu.set_reg(kvm_abi.X(0), number)

    def do(self, cpu: int, *operations: Operation) -> list[int]:
        self._guest.load(cpu, [operations])
        end = self.vm.vcpus[cpu].run(_TIMEOUT_MS)
        if end is None or end.address != LEAVE:
            raise JudgeError(f"vCPU {cpu} does not come back from its guest: {end}")
        return [result.value for result in self._guest.results(cpu)]

    def raise_line(self) -> None:
        self.vm.set_line(_SPI, True)


def _summary(rows: Sequence[MismatchRow]) -> Summary:
    headings = ("", "version", "MPIDR_EL1", "GICR_TYPER", "found", "GICD_IROUTER33", "SGI", "SPI")
    lines = [
        (
            row.subject,
            row.version,
            row.mpidr,
            row.typer,
            "yes" if row.found else "no",
            row.router,
            "arrives" if row.sgi_arrives else "is lost",
            "arrives" if row.spi_arrives else "is lost",
        )
        for row in rows
    ]
    return Summary(headings, lines)
