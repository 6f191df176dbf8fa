"""The hosts that users name: files and folders of several kinds, and the examples that are shipped."""

import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from vgic.identity import Contract, Host, HostError
from vgic.identity.contract import CONTRACT_FORMAT
from vgic_tools.errors import UsageError
from vgic_tools.hosts.cpuinfo import SYSFS_LINE, from_cpuinfo, from_sysfs
from vgic_tools.hosts.kvm_files import IDREGS_LINE, from_fingerprint, from_idregs
from vgic_tools.inputs import read_bytes, read_text, shown_name

__all__ = ["examples", "labelled", "read_host", "read_vm"]

_MOST: Final = 16 << 20
"""Bytes of a file about one host: thousands of CPUs fit into it."""
_MOST_CPUS: Final = 65536

KINDS: Final = "a host as JSON, a fingerprint of Firecracker's, KVM's idregs, /proc/cpuinfo, or regs/identification"


def examples() -> dict[str, str]:
    """The shipped hosts: their documents by name."""
    folder = files(__package__).joinpath("examples")
    found = sorted((item.name, item) for item in folder.iterdir() if item.name.endswith(".json"))
    return {name.removesuffix(".json"): item.read_text("utf-8") for name, item in found}


def read_host(name: str) -> Host:
    """The host in a file, behind "-", in a folder like /sys/devices/system/cpu, or shipped under this name.

    Raises UsageError that names the file and the place.
    """
    try:
        if os.path.isdir(name):
            return from_sysfs(_sysfs_lines(Path(name)), name)
        if name != "-" and not os.path.lexists(name):
            known = examples()
            if name in known:
                return Host.from_json(known[name])
            raise UsageError(f"{name}: is no file, and `vgic host list` has no such host")
        return _host_of(read_text(name, _MOST), shown_name(name))
    except HostError as error:
        raise UsageError(f"{shown_name(name)}: {error}") from error


def labelled(names: Sequence[str]) -> dict[str, Host]:
    """Hosts as `read_host` has them, by what tables call them: the end of a file's name, where that is enough."""
    short = [Path(name).name.removesuffix(".json") or name for name in names]
    hosts: dict[str, Host] = {}
    for name, end in zip(names, short, strict=True):
        hosts[name if short.count(end) > 1 else shown_name(end)] = read_host(name)
    return hosts


def read_vm(name: str) -> Contract | Host:
    """The contract of a VM, or the host that has shown it what it has. Reads and raises as `read_host` does."""
    if name != "-" and not os.path.isfile(name):
        return read_host(name)
    text, shown = read_text(name, _MOST), shown_name(name)
    try:
        return Contract.from_json(text) if _is_contract(text) else _host_of(text, shown)
    except HostError as error:
        raise UsageError(f"{shown}: {error}") from error


def _is_contract(text: str) -> bool:
    """A text that says it is one, however damaged it may be."""
    return text.lstrip().startswith("{") and f'"{CONTRACT_FORMAT}"' in text


def _sysfs_lines(folder: Path) -> list[str]:
    paths = sorted(folder.glob("cpu[0-9]*/regs/identification/*"))
    if not paths:
        raise UsageError(f"{folder}: has no cpu*/regs/identification")
    if len(paths) > _MOST_CPUS:
        raise UsageError(f"{folder}: has more than {_MOST_CPUS:,} registers")
    return [f"{path}:{_one_line(path)}" for path in paths if path.name != "smidr_el1"]


def _one_line(path: Path) -> str:
    return read_bytes(path, 64).decode("ascii", "replace").strip()


def _host_of(text: str, name: str) -> Host:
    """The host that a text describes, of whichever kind it is."""
    if text.lstrip().startswith("{"):
        return _from_json(text, name)
    lines = text.splitlines()
    first = next((line.strip() for line in lines if line.strip()), "")
    if SYSFS_LINE.fullmatch(first):
        return from_sysfs(lines, name)
    if IDREGS_LINE.fullmatch(first):
        return from_idregs(lines, name)
    if first.startswith("processor") and ":" in first:
        return from_cpuinfo(text, name)
    raise UsageError(f"{name}: begins like none of {KINDS}")


def _from_json(text: str, name: str) -> Host:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = {}
    if "guest_cpu_config" in document:
        return from_fingerprint(document, name)
    return Host.from_json(text)
