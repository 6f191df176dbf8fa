"""Debian's kernel, busybox, U-Boot and EDK2, fetched into the cache, and a small initial RAM file system."""

import gzip
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from vgic_tools.initramfs import archive, console, directory, program
from vgic_tools.judges.apt import Apt, check_tools
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.kernels import SUITES, cache_folder, fetch_kernel

__all__ = ["KERNELS", "fetch_kernel", "fetched_busybox", "fetched_firmware", "fetched_uefi", "initramfs"]

KERNELS: Final = tuple(SUITES)
"""The kernels of Debian that can be fetched, by name."""

_SUITE: Final = "bookworm"

_INIT: Final = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /usr/bin /usr/sbin /sbin /tmp /root
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
export HOME=/root PS1='guest# '
cd /root
"""

_INTERACTIVE: Final = """\
echo 'vgic: a shell; poweroff ends the machine'
while :; do setsid cttyhack sh; done
"""

_END: Final = """\
poweroff -f
"""


def fetched_busybox() -> bytes:
    """Debian's busybox for arm64, linked statically; fetched unless it is in the cache.

    Raises MissingJudgeError where it cannot be had.
    """
    return _fetched("busybox", "busybox-static", "./bin/busybox", "./usr/bin/busybox")


def fetched_firmware() -> bytes:
    """Debian's U-Boot for QEMU's virt; fetched unless it is in the cache. Raises MissingJudgeError likewise."""
    return _fetched("u-boot", "u-boot-qemu", "./usr/lib/u-boot/qemu_arm64/u-boot.bin")


def fetched_uefi() -> bytes:
    """Debian's EDK2 for QEMU's virt; fetched unless it is in the cache. Raises MissingJudgeError likewise."""
    return _fetched("edk2", "qemu-efi-aarch64", "./usr/share/qemu-efi-aarch64/QEMU_EFI.fd")


def _fetched(kept_as: str, package: str, *names: str) -> bytes:
    """The file of a package that has one of these names."""
    kept = cache_folder() / f"{kept_as}-{_SUITE}"
    if not kept.is_file():
        check_tools(f"Debian's {package}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=kept.parent) as place:
            unpacked = _unpacked(Apt(Path(place), _SUITE, "arm64").download(package), names)
            # Whole or not at all: another process may be fetching it, too.
            unpacked.rename(kept)
    return kept.read_bytes()


def _unpacked(package: Path, names: Collection[str]) -> Path:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as files:
            for member in files:
                content = files.extractfile(member) if member.name in names else None
                if content is not None:
                    whole = package.with_name("whole")
                    with whole.open("wb") as file:
                        shutil.copyfileobj(content, file)
                    return whole
    raise MissingJudgeError(f"{package.name} of {_SUITE} has none of {', '.join(names)} in it")


def initramfs(busybox: bytes, script: str | None = None) -> bytes:
    """A RAM file system (cpio, gzip) that boots to a shell, or runs a shell script and powers off.

    The same arguments give the same bytes.
    """
    init = _INIT + (_INTERACTIVE if script is None else f"{script}\n{_END}")
    folders = map(directory, ("bin", "dev", "proc", "sys"))
    files = [*folders, console(), program("bin/busybox", busybox), program("init", init.encode())]
    return gzip.compress(archive(files), mtime=0)
