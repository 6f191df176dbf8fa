"""What a live Linux works around on CPUs that QEMU gives any MIDR_EL1, beside `workarounds`.

Without virtualisation Linux boots at EL1, as a guest does, and its log says which errata it has detected. As
tests/oracles/test_live_kvm.py, which says what it needs.
"""

import subprocess
from pathlib import Path

import pytest

from live_hosts import kernel_at_hand
from vgic.identity import Cpu
from vgic.identity.errata import workarounds
from vgic.identity.errata_table import ERRATA
from vgic.identity.erratum import Applies, Erratum
from vgic.identity.parts import cpu_name, model_of
from vgic_tools.judges.agent import QEMU

pytestmark = pytest.mark.slow

SAID = {
    "Arm 819472, 824069, 826319 and 827319": "ARM errata 826319, 827319, 824069, or 819472",
    "Arm 843419": "ARM erratum 843419",
    "Arm 845719": "ARM erratum 845719",
    "Arm 832075": "ARM erratum 832075",
    "Arm 834220": "ARM erratum 834220",
    "Arm 858921": "ARM erratum 858921",
    "Arm 1165522, 1319367 and 1530923": "ARM errata 1165522, 1319367, or 1530923",
    "Arm 1286807": "Broken broadcast TLBI completion",
    "Arm 1418040": "ARM erratum 1418040",
    "Arm 1463225": "ARM erratum 1463225",
    "Arm 1508412": "ARM erratum 1508412 (kernel portion)",
    "Arm 1542419": "ARM erratum 1542419 (kernel portion)",
    "Arm 1742098": "ARM erratum 1742098",
    "Arm 1902691": "ARM erratum 1902691",
    "Arm 2038923": "ARM erratum 2038923",
    "Arm 2054223 and 2067961": "ARM erratum 2067961 or 2054223",
    "Arm 2064142": "ARM erratum 2064142",
    "Arm 2077057": "ARM erratum 2077057",
    "Arm 2119858 and 2139208": "ARM erratum 2119858 or 2139208",
    "Arm 2224489 and 2253138": "ARM erratum 2253138 or 2224489",
    "Arm 2441007": "Broken broadcast TLBI completion",
    "Arm 2441009": "Broken broadcast TLBI completion",
    "Arm 2457168": "ARM erratum 2457168",
    "Arm 2645198": "ARM erratum 2645198",
    "Arm 2658417": "ARM erratum 2658417",
    "Arm 2966298 and 3117295": "ARM errata 2966298, 3117295",
    "Arm 3194386": "SSBS not fully self-synchronizing",
    "Arm 4118414": "Broken broadcast TLBI completion",
    "Arm 4193714": "C1-Pro SME DVMSync early acknowledgement",
    "Ampere AC03_CPU_38": "AmpereOne erratum AC03_CPU_38",
    "Ampere AC04_CPU_23": "AmpereOne erratum AC04_CPU_23",
    "Cavium 23154 and 38545": "Cavium errata 23154 and 38545",
    "Cavium 27456": "Cavium erratum 27456",
    "Cavium 30115": "Cavium erratum 30115",
    "Cavium ThunderX2 219": "Cavium ThunderX2 erratum 219 (PRFM removal)",
    "NVIDIA Carmel CnP and HiSilicon 162100125": "NVIDIA Carmel CNP erratum, or Hisilicon erratum 162100125",
    "Qualcomm Oryon CNTVOFF": "Broken CNTVOFF_EL2",
    "Spectre v2": "Spectre-v2",
    "Spectre v4": "Spectre-v4",
    "Spectre BHB": "Spectre-BHB",
}
"""What Linux's log says of each; one sentence can stand for several errata."""

LEFT_OUT = {"Arm 1286807", "Arm 2441007", "Arm 2441009"}
"""Errata so rare that Debian builds its kernels without their workarounds, which share their words with others'."""

SHOWN = {
    "cortex-a72": Cpu({"CTR_EL0": 0x8444C004, "ID_AA64PFR0_EL1": 0x2222, "ID_AA64PFR1_EL1": 0}),
    "cortex-a76": Cpu({"CTR_EL0": 0x8444C004, "ID_AA64PFR0_EL1": 0x1100000010111112, "ID_AA64PFR1_EL1": 0x10}),
}
"""What QEMU's CPU models show, without CSV2 and with it. Neither has DIC or SME, and REVIDR_EL1 is 0."""


def detected(kernel: Path, cpu: str, midr: int, *, at_el2: bool = False) -> set[str]:
    """What of `SAID` a booting Linux says that it has detected."""
    machine = f"virt,gic-version=3,virtualization={'on' if at_el2 else 'off'}"
    command = [QEMU, "-machine", machine, "-cpu", f"{cpu},midr={midr:#x}", "-smp", "1", "-m", "512", "-nic", "none"]
    command += ["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(kernel)]
    command += ["-append", "console=ttyAMA0 panic=-1 cryptomgr.notests"]
    said: set[str] = set()
    with subprocess.Popen(
        ["timeout", "120", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as qemu:
        assert qemu.stdout is not None
        for line in qemu.stdout:
            text = line.decode("ascii", "replace").rstrip()
            said.add(text.partition("CPU features: detected: ")[2])
            if "applying system-wide alternatives" in text:
                qemu.terminate()
                return said & set(SAID.values())
    raise AssertionError("Linux ended before it had looked at its CPU")


def modelled(kernel: Path, cpu: str, midr: int, *, at_el2: bool = False) -> set[str]:
    """The same by the model, but for what this kernel is built without: its image lacks the words."""
    own = Cpu({**SHOWN[cpu].registers, "MIDR_EL1": midr, "REVIDR_EL1": 0})
    found = workarounds([], own)
    assert not found.unknown
    names = set(found.applied)
    if at_el2:
        names |= {item.name for item in ERRATA if item.at_el2 and item.applies([(midr, 0)], own) is Applies.YES}
    image = kernel.read_bytes()
    return {SAID[name] for name in names - LEFT_OUT if SAID[name].encode() in image}


def ends(erratum: Erratum) -> set[int]:
    """MIDR_EL1 of CPUs at the ends of an erratum's ranges, and next to them."""
    numbers = {
        (one.model, number)
        for one in erratum.ranges
        for number in (one.first - 1, one.first, one.last, one.last + 1)
        if 0 <= number <= 0xFF and (one.first, one.last) != (0, 0xFF)
    }
    numbers |= {(one.model, 0) for one in erratum.ranges}
    return {model | number >> 4 << 20 | number & 0xF for model, number in numbers}


EVERY = sorted(set().union(*map(ends, ERRATA)))
CHOSEN = [
    model_of(part) | variant << 20 | minor
    for part, variant, minor in (
        ("Cortex-A53", 0, 4),
        ("Cortex-A55", 2, 1),
        ("Cortex-A57", 1, 3),
        ("Cortex-A76", 3, 1),
        ("Neoverse N1", 3, 1),
        ("Cortex-A510", 1, 2),
        ("AmpereOne AC04", 0, 0),
    )
]
SOME = sorted({*CHOSEN, *EVERY[::15]})
"""All that there are take some minutes."""


@pytest.mark.rule("IDENT-50", "IDENT-52", "IDENT-53")
@pytest.mark.parametrize("midr", SOME, ids=cpu_name)
def test_what_linux_detects_is_what_is_modelled(midr: int) -> None:
    kernel = kernel_at_hand("newest")
    for cpu in SHOWN:
        assert detected(kernel, cpu, midr) == modelled(kernel, cpu, midr)


@pytest.mark.rule("IDENT-53")
def test_what_only_a_kernel_at_el2_detects() -> None:
    kernel = kernel_at_hand("newest")
    for minor in (1, 2):
        midr = model_of("Cortex-A76") | 3 << 20 | minor
        told = [detected(kernel, "cortex-a76", midr, at_el2=at_el2) for at_el2 in (False, True)]
        assert told == [modelled(kernel, "cortex-a76", midr, at_el2=at_el2) for at_el2 in (False, True)]
        assert (SAID["Arm 1463225"] in told[1]) == (minor == 1)


def test_every_erratum_has_its_words() -> None:
    assert set(SAID) == {erratum.name for erratum in ERRATA}
