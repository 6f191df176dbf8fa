"""`vgic host capture`: what a live KVM host shows a new VM, as a file that the other commands read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from vgic_tools.errors import UsageError
from vgic_tools.judges.errors import JudgeError, MissingJudgeError
from vgic_tools.terminal import BAD_INPUT, complain, fail, print_json

# What asks a host is loaded when one is to be asked.
if TYPE_CHECKING:
    from vgic_tools.judges.kvm_host import KvmHost

__all__ = ["capture_command"]

_DEFAULT_KERNEL: Final = "6.12"
_ALL: Final = "all"
_NONE: Final = "none"


@click.command("capture", short_help="Read a live KVM host, this machine or one under QEMU.")
@click.option("--name", metavar="TEXT", help="What to call the host; else by the machine.")
@click.option(
    "--features",
    metavar="FEATURE,...",
    default=_ALL,
    show_default=True,
    help="What the VM's vCPUs have: pmu, sve, pauth, none, or all that the host can give.",
)
@click.option("--qemu", "cpu", metavar="CPU-MODEL", help="Read a host under QEMU, with this model of CPU.")
@click.option("--kernel", metavar="NAME|PATH", help="Its kernel: 6.1, 6.12 (unless told), newest, or a file.")
@click.option(
    "--emulator",
    metavar="PATH",
    help="The QEMU that runs it, unless that on PATH; newer: one of Debian's backports, which is fetched.",
)
def capture_command(
    name: str | None, features: str, cpu: str | None, kernel: str | None, emulator: str | None
) -> None:
    """Read a live KVM host, and write what it shows a new VM as JSON to standard output.

    This machine is asked, where it is arm64 with /dev/kvm: what its clusters of CPUs show, the bits that KVM lets a
    VMM change, and what a guest reads. With --qemu an arm64 kernel boots under QEMU and its KVM is asked, anywhere.
    Exits with 0, or 2 where the host cannot be asked.

    \b
    vgic host capture > here.json
    vgic host capture --qemu neoverse-n1 --kernel 6.1 > there.json
    vgic host check here.json there.json
    """
    try:
        if cpu is None and (kernel or emulator):
            raise UsageError("--kernel and --emulator are for a host under QEMU: name a CPU model with --qemu")
        with _started(cpu, kernel, emulator) as host:
            from vgic_tools.hosts.capture import capture

            captured = capture(host, name or _called(host, cpu), _wanted(features, host))
    except UsageError as error:
        fail(error)
    except JudgeError as error:
        complain(str(error))
        sys.exit(BAD_INPUT)
    print_json(captured.document())


def _started(cpu: str | None, kernel: str | None, emulator: str | None) -> "KvmHost":
    """The host that is asked for. Raises UsageError."""
    from vgic_tools.judges.kernels import SUITES, fetch_kernel
    from vgic_tools.judges.kvm_host import KvmHost
    from vgic_tools.judges.qemus import NEWER, fetch_qemu

    if cpu is None:
        try:
            return KvmHost.native()
        except MissingJudgeError as error:
            raise UsageError(f"{error}; --qemu CPU-MODEL reads a host under QEMU") from error
    kernel = kernel or _DEFAULT_KERNEL
    path = Path(kernel)
    qemu = fetch_qemu() if emulator == NEWER else Path(emulator) if emulator else None
    if qemu is not None and not qemu.is_file():
        raise UsageError(f"{emulator}: is no file")
    image = fetch_kernel(kernel) if kernel in SUITES or not path.is_file() else path
    return KvmHost(image, cpu, qemu=qemu)


def _called(host: "KvmHost", cpu: str | None) -> str:
    """What a host is called unless the user says."""
    if cpu is not None:
        return f"QEMU's {cpu}"
    model = host.read_file("/proc/device-tree/model") or host.read_file("/sys/class/dmi/id/product_name") or b""
    return model.decode("utf-8", "replace").strip("\0 \n") or "this machine"


def _wanted(text: str, host: "KvmHost") -> tuple[str, ...]:
    """The features that are asked for. Raises UsageError that names one that there is not."""
    from vgic_tools.hosts.capture import features_of
    from vgic_tools.judges.kvm_abi import FEATURES

    if text == _ALL:
        return features_of(host)
    if text == _NONE:
        return ()
    named = dict.fromkeys(part.strip() for part in text.split(","))
    for name in named:
        if name not in FEATURES:
            raise UsageError(f"there is no feature {name!r}; there are {', '.join(FEATURES)}, {_ALL} and {_NONE}")
    return tuple(named)
