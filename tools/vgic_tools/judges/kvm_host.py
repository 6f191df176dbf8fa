"""A live KVM: its VMs, vCPUs, GICs and ITSes, behind the same calls that `vgic.kvm` has.

>>> with KvmHost(fetch_kernel("6.12")) as host:             # doctest: +SKIP
...     vm = host.create_vm()
...     vcpu = vm.create_vcpu()
...     vm.gic.set_attr(Group.CTRL, Control.INIT)
...     hex(vm.gic.get_attr(Group.DIST_REGS, 0x0008))
'0x4b00343b'

A call that KVM refuses raises `KvmError`, as the façade's do. Many attributes are asked quickly by `KvmHost.ask`.
"""

import errno
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from vgic.kvm import KvmError
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.agent import Agent
from vgic_tools.judges.answers import Answer, Asked
from vgic_tools.judges.kvm_abi import Exit, Ioctl
from vgic_tools.judges.native import NativeAgent

__all__ = ["AttrCall", "KvmHost", "LiveDevice", "LiveVcpu", "LiveVm", "Outcome", "RegCall"]

RUN_MILLISECONDS: Final = 200
"""How long a vCPU runs unless it leaves its guest before."""

_POKE: Final = 4096
"""Bytes of RAM that are written or read by one command."""


class Outcome(NamedTuple):
    """What a call came to: KVM's number, 0 where it did as told, and the value that it returned."""

    errno: int
    value: int = 0


class AttrCall(NamedTuple):
    """A call on an attribute of a device."""

    device: "LiveDevice"
    request: Ioctl
    """HAS_DEVICE_ATTR, GET_DEVICE_ATTR or SET_DEVICE_ATTR."""
    group: int
    attr: int
    value: int = 0
    """What the caller's variable holds."""

    @property
    def command(self) -> str:
        """For the agent."""
        return _link(
            self.device.file,
            self.request,
            abi.device_attr(self.group, self.attr),
            abi.POINTER_OF_ATTR,
            abi.u64(self.value),
        )

    def outcome(self, answer: Answer) -> Outcome:
        """What it came to."""
        told = self.request is Ioctl.GET_DEVICE_ATTR and not answer.errno
        return Outcome(answer.errno, int.from_bytes(answer.more, "little") if told else 0)


class RegCall(NamedTuple):
    """KVM_GET_ONE_REG or KVM_SET_ONE_REG of a vCPU."""

    vcpu: "LiveVcpu"
    request: Ioctl
    register: int
    """KVM's id of it, see `kvm_abi`."""
    value: int = 0
    """What the caller's variable holds."""

    @property
    def command(self) -> str:
        """For the agent."""
        outer, inner = abi.one_reg(self.register), abi.u64(self.value)
        return _link(self.vcpu.file, self.request, outer, abi.POINTER_OF_REG, inner)

    def outcome(self, answer: Answer) -> Outcome:
        """What it came to."""
        told = self.request is Ioctl.GET_ONE_REG and not answer.errno
        return Outcome(answer.errno, int.from_bytes(answer.more, "little") if told else 0)


def _link(file: int, request: Ioctl, outer: bytes, offset: int, inner: bytes) -> str:
    return f"link {file:x} {request:x} {outer.hex()} {offset:x} {inner.hex()}"


def _checked(answer: Answer, what: str) -> Answer:
    if answer.errno:
        raise KvmError(answer.errno, f"{what}: KVM refuses")
    return answer


class KvmHost:
    """A machine that runs KVM: this kernel, on a CPU of this model; a context manager. See `Agent`."""

    def __init__(
        self, kernel: Path, cpu: str = "cortex-a76", *, qemu: Path | None = None, trace: Sequence[str] = ()
    ) -> None:
        self.kernel: Path | None = kernel
        self._begin(Agent(kernel, cpu, qemu=qemu, trace=trace))

    @classmethod
    def native(cls) -> Self:
        """This machine itself. Raises MissingJudgeError that says why it has no KVM to ask."""
        host = cls.__new__(cls)
        host.kernel = None
        host._begin(NativeAgent())
        return host

    def _begin(self, agent: Asked) -> None:
        self.agent = agent
        try:
            self._open()
            version = self.agent.ask("file /proc/sys/kernel/osrelease")
            self.release = _checked(version, "the kernel's release").data.decode().strip()
            """Of the kernel: "6.12.117+deb13-cloud-arm64"."""
        except BaseException:
            self.agent.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.agent.close()

    def _open(self) -> None:
        self.file = _checked(self.agent.ask("open /dev/kvm"), "/dev/kvm").value

    def reset(self) -> None:
        """End every VM."""
        self.agent.ask("reset")
        self._open()

    def pin(self, cpus: Iterable[int]) -> None:
        """Run what is asked from now on on these CPUs, where not all are alike. Raises MissingJudgeError."""
        self.agent.pin(cpus)

    def read_file(self, path: str) -> bytes | None:
        """What a file of the host holds, its first 32 KiB; None where it cannot be read."""
        answer = self.agent.ask(f"file {path}")
        return None if answer.errno else answer.data

    def create_vm(self, ipa_bits: int = 0, gic: int | None = abi.DEVICE_V3) -> "LiveVm":
        """A VM with this many bits of physical address, 0: as KVM does, and this device as its GIC, if any.

        Raises KvmError.
        """
        return LiveVm(self, self.call(self.file, Ioctl.CREATE_VM, ipa_bits, "creation of a VM"), gic)

    def has(self, feature: str) -> bool:
        """True where its vCPUs can have this feature, see `kvm_abi.FEATURES`."""
        return all(
            self.agent.ask(f"call {self.file:x} {Ioctl.CHECK_EXTENSION:x} {extension:x}").value > 0
            for extension in abi.FEATURES[feature].extensions
        )

    def ask(self, calls: Iterable[AttrCall | RegCall]) -> list[Outcome]:
        """What each of the calls comes to; all are sent before the first is answered."""
        asked = list(calls)
        answers = self.agent.ask_all(call.command for call in asked)
        return [call.outcome(answer) for call, answer in zip(asked, answers, strict=True)]

    # What VMs, vCPUs and devices have in common.

    def call(self, file: int, request: Ioctl, argument: int, what: str) -> int:
        """An ioctl with a number. Raises KvmError."""
        return _checked(self.agent.ask(f"call {file:x} {request:x} {argument:x}"), what).value

    def give(self, file: int, request: Ioctl, data: bytes, what: str) -> Answer:
        """An ioctl with a structure. Raises KvmError."""
        return _checked(self.agent.ask(f"give {file:x} {request:x} {data.hex()}"), what)


class LiveVm:
    """A VM of a live KVM."""

    def __init__(self, host: KvmHost, file: int, gic: int | None = abi.DEVICE_V3) -> None:
        self.host = host
        self.file = file
        self.vcpus: list[LiveVcpu] = []
        self.itses: list[LiveDevice] = []
        self._slots = 0
        self._gic = None if gic is None else self._device(gic)

    @property
    def gic(self) -> "LiveDevice":
        """Its GIC, which it was created with."""
        assert self._gic is not None
        return self._gic

    def _device(self, kind: int) -> "LiveDevice":
        told = self.host.give(self.file, Ioctl.CREATE_DEVICE, abi.create_device(kind), "creation of a device")
        return LiveDevice(self.host, abi.created_device(told.data))

    def create_its(self) -> "LiveDevice":
        """KVM_CREATE_DEVICE of an ITS. Raises KvmError."""
        self.itses.append(self._device(abi.DEVICE_ITS))
        return self.itses[-1]

    def create_vcpu(
        self, mpidr: int | None = None, *, vcpu_id: int | None = None, features: Sequence[str] = ()
    ) -> "LiveVcpu":
        """KVM_CREATE_VCPU and KVM_ARM_VCPU_INIT, with this MPIDR_EL1 unless None. Raises KvmError.

        `features` are names in `kvm_abi.FEATURES`.
        """
        number = len(self.vcpus) if vcpu_id is None else vcpu_id
        file = self.host.call(self.file, Ioctl.CREATE_VCPU, number, f"creation of vCPU {number}")
        vcpu = LiveVcpu(self.host, file, number)
        self.vcpus.append(vcpu)
        target = self.host.give(
            self.file, Ioctl.ARM_PREFERRED_TARGET, bytes(abi.VCPU_INIT_SIZE), "the preferred target"
        )
        kind = int.from_bytes(target.data[:4], "little")
        wanted = [abi.FEATURES[name] for name in features]
        bits = abi.PSCI_0_2 | sum(feature.bits for feature in wanted)
        init = (kind | bits << 32).to_bytes(abi.VCPU_INIT_SIZE, "little")
        self.host.give(file, Ioctl.ARM_VCPU_INIT, init, f"init of vCPU {number}")
        for feature in wanted:
            if feature.finalize:
                what = feature.finalize.to_bytes(4, "little")
                self.host.give(file, Ioctl.ARM_VCPU_FINALIZE, what, f"the end of the init of vCPU {number}")
        if mpidr is not None:
            vcpu.set_reg(abi.MPIDR_EL1, mpidr)
        return vcpu

    def add_ram(self, base: int, size: int) -> None:
        """Give the VM zeroed RAM; both are multiples of 4 KiB. Raises KvmError."""
        command = f"ram {self.file:x} {self._slots:x} {base:x} {size:x}"
        _checked(self.host.agent.ask(command), f"RAM at {base:#x}")
        self._slots += 1

    def remove_ram(self, slot: int) -> None:
        """Take a stretch of RAM away: the first that was given is number 0. Raises KvmError."""
        region = abi.no_memory_region(slot)
        self.host.give(self.file, Ioctl.SET_USER_MEMORY_REGION, region, f"the end of RAM {slot}")

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the VM's RAM. Raises KvmError (EFAULT) where there is none."""
        steps = range(0, size, _POKE)
        answers = self.host.agent.ask_all(
            f"peek {self.file:x} {address + at:x} {min(_POKE, size - at):x}" for at in steps
        )
        return b"".join(_checked(answer, f"RAM at {address:#x}").data for answer in answers)

    def write(self, address: int, data: bytes) -> None:
        """Store bytes in the VM's RAM. Raises KvmError (EFAULT) where there is none."""
        steps = range(0, len(data), _POKE)
        commands = (f"poke {self.file:x} {address + at:x} {data[at : at + _POKE].hex()}" for at in steps)
        for answer in self.host.agent.ask_all(commands):
            _checked(answer, f"RAM at {address:#x}")

    def set_line(self, intid: int, level: bool, cpu: int = 0) -> None:
        """KVM_IRQ_LINE of an SPI, or of a PPI of vCPU `cpu`. Raises KvmError."""
        self.host.give(self.file, Ioctl.IRQ_LINE, abi.line(intid, level, cpu), f"the line of INTID {intid}")

    def signal_msi(self, address: int, data: int, device_id: int | None = None) -> int:
        """KVM_SIGNAL_MSI: 1 delivered, 0 blocked by the guest. Raises KvmError."""
        message = abi.msi(address, data, device_id)
        return self.host.give(self.file, Ioctl.SIGNAL_MSI, message, f"MSI {data:#x}").value

    def writable_masks(self) -> dict[int, int] | None:
        """The bits of identification registers that a VMM can change, by KVM's id; None where KVM does not tell."""
        masks = bytes(8 * len(abi.REGISTERS_OF_MASKS))
        command = _link(self.file, Ioctl.ARM_GET_REG_WRITABLE_MASKS, abi.mask_range(), abi.POINTER_OF_MASKS, masks)
        answer = self.host.agent.ask(command)
        if answer.errno:
            return None
        told = struct.unpack(f"<{len(abi.REGISTERS_OF_MASKS)}Q", answer.more)
        return {register: mask for register, mask in zip(abi.REGISTERS_OF_MASKS, told, strict=True) if mask}

    def enable_cap(self, capability: int, argument: int = 0) -> None:
        """KVM_ENABLE_CAP. Raises KvmError."""
        cap = abi.enable_cap(capability, argument)
        self.host.give(self.file, Ioctl.ENABLE_CAP, cap, f"capability {capability}")


class LiveVcpu:
    """A vCPU of a live KVM, with the id that it was created with."""

    def __init__(self, host: KvmHost, file: int, number: int) -> None:
        self.host = host
        self.file = file
        self.id = number

    def get(self, register: int) -> RegCall:
        """For `KvmHost.ask`."""
        return RegCall(self, Ioctl.GET_ONE_REG, register)

    def set(self, register: int, value: int) -> RegCall:
        """For `KvmHost.ask`."""
        return RegCall(self, Ioctl.SET_ONE_REG, register, value)

    def get_reg(self, register: int) -> int:
        """KVM_GET_ONE_REG of a register, see `kvm_abi`. Raises KvmError."""
        return self._do(self.get(register))

    def set_reg(self, register: int, value: int) -> None:
        """KVM_SET_ONE_REG. Raises KvmError."""
        self._do(self.set(register, value))

    def _do(self, call: RegCall) -> int:
        (outcome,) = self.host.ask([call])
        if outcome.errno:
            raise KvmError(outcome.errno, f"register {call.register:#x}: KVM refuses")
        return outcome.value

    def init_pmu(self) -> None:
        """Set up the PMU, which is among its features, when the GIC is initialised. Raises KvmError."""
        attributes = LiveDevice(self.host, self.file)
        attributes.set_attr(abi.VCPU_PMU, abi.VCPU_PMU_IRQ, abi.PMU_IRQ)
        attributes.set_attr(abi.VCPU_PMU, abi.VCPU_PMU_INIT)

    def registers(self) -> tuple[int, ...]:
        """KVM_GET_REG_LIST: the ids of its registers, in KVM's order. Raises KvmError."""
        answer = self.host.agent.ask(self._list(0))
        if answer.errno == errno.E2BIG:
            room, _ = abi.registers_listed(answer.data)
            answer = self.host.agent.ask(self._list(room))
        return abi.registers_listed(_checked(answer, f"the registers of vCPU {self.id}").data)[1]

    def _list(self, room: int) -> str:
        return f"give {self.file:x} {Ioctl.GET_REG_LIST:x} {abi.register_list(room).hex()}"

    def run(self, milliseconds: int = RUN_MILLISECONDS) -> Exit | None:
        """KVM_RUN: why the vCPU left its guest, None where the time was over first. Raises KvmError."""
        answer = self.host.agent.ask(f"run {self.file:x} {milliseconds:x}")
        if answer.errno == errno.EINTR:
            return None
        return abi.exit_of(_checked(answer, f"run of vCPU {self.id}").data)


class LiveDevice:
    """A GICv3 or an ITS of a live KVM. Every method raises KvmError where KVM refuses."""

    def __init__(self, host: KvmHost, file: int) -> None:
        self.host = host
        self.file = file

    def has(self, group: int, attr: int) -> AttrCall:
        """For `KvmHost.ask`."""
        return AttrCall(self, Ioctl.HAS_DEVICE_ATTR, group, attr)

    def get(self, group: int, attr: int, value: int = 0) -> AttrCall:
        """For `KvmHost.ask`."""
        return AttrCall(self, Ioctl.GET_DEVICE_ATTR, group, attr, value)

    def set(self, group: int, attr: int, value: int = 0) -> AttrCall:
        """For `KvmHost.ask`."""
        return AttrCall(self, Ioctl.SET_DEVICE_ATTR, group, attr, value)

    def has_attr(self, group: int, attr: int) -> None:
        """KVM_HAS_DEVICE_ATTR."""
        self._do(self.has(group, attr))

    def get_attr(self, group: int, attr: int, value: int = 0) -> int:
        """KVM_GET_DEVICE_ATTR; `value` is what the caller's variable holds before."""
        return self._do(self.get(group, attr, value))

    def set_attr(self, group: int, attr: int, value: int = 0) -> None:
        """KVM_SET_DEVICE_ATTR."""
        self._do(self.set(group, attr, value))

    def _do(self, call: AttrCall) -> int:
        (outcome,) = self.host.ask([call])
        if outcome.errno:
            raise KvmError(outcome.errno, f"group {call.group} attribute {call.attr:#x}: KVM refuses")
        return outcome.value
