"""`vgic host capture` of live KVM hosts, beside what they tell in other ways.

As tests/oracles/test_live_kvm.py, which says what it needs.
"""

import json
from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from live_hosts import kernel_at_hand
from live_identity import STATES, VERSIONS, vcpu_in
from vgic.identity import Host, View
from vgic.identity.registers import REGISTERS
from vgic.identity.shown import kernels_of
from vgic_tools.cli import main
from vgic_tools.hosts.capture import capture, features_of, initialise
from vgic_tools.hosts.kvm_files import from_idregs
from vgic_tools.judges import agent
from vgic_tools.judges.kvm_host import KvmHost
from vgic_tools.judges.straight_guest import guest_reads

KERNELS = [pytest.param(name, marks=[] if name == "6.12" else pytest.mark.slow) for name in VERSIONS]


@pytest.mark.rule("IDENT-75")
def test_a_file_from_the_shell() -> None:
    kernel_at_hand("6.12")
    done = CliRunner().invoke(main, ["host", "capture", "--qemu", "cortex-a76", "--name", "a"])
    assert done.exit_code == 0, done.stderr
    host = Host.from_document(json.loads(done.stdout))
    assert (host.name, host.view, host.gic) == ("a", View.GUEST, 3)
    [cluster] = host.clusters
    assert (cluster.name, cluster.count) == ("cpu0-1", 2)
    assert host.notes[0] == "vCPUs have pmu"
    assert "ICH_VTR_EL2" not in cluster.cpu.registers
    # Linux 6.12's masks are known, and those that the file has are the same.
    [kernel] = kernels_of(host)
    assert kernel.writable.items() - VERSIONS["6.12"].writable.items() == {("CLIDR_EL1", (1 << 47) - 1)}
    assert not VERSIONS["6.12"].writable.items() - kernel.writable.items()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.rule("IDENT-75")
def test_a_guest_reads_what_was_captured(kernel: str) -> None:
    with KvmHost(kernel_at_hand(kernel), cpu="max") as live:
        for features in ((), features_of(live)):
            registers = _captured(live, features)
            names = [name for name in registers if name in REGISTERS and name not in ("CSSELR_EL1", "MPIDR_EL1")]
            read = _read(live, names, features)
            if kernel == "6.1":
                # It does not trap this one: a guest reads the hardware's, without the IDC that CLIDR_EL1 says.
                read["CTR_EL0"] |= REGISTERS["CTR_EL0"].layout.mask("IDC")
            assert read == {name: registers[name] for name in names}
        told = live.read_file("/proc/cpuinfo")
        assert told is not None
        # BogoMIPS is twice the counter's MHz.
        assert f"BogoMIPS\t: {registers['CNTFRQ_EL0'] / 500_000:.2f}\n" in told.decode()


def _captured(live: KvmHost, features: Sequence[str]) -> dict[str, int]:
    [cluster] = capture(live, "h", features).clusters
    return dict(cluster.cpu.registers)


def _read(live: KvmHost, names: Sequence[str], features: Sequence[str]) -> dict[str, int]:
    """What a guest of a new VM reads."""
    live.reset()
    vm = live.create_vm()
    vcpu = vm.create_vcpu(features=features)
    initialise(vm, 3)
    if "pmu" in features:
        vcpu.init_pmu()
    return dict(zip(names, guest_reads(vm, vcpu, [REGISTERS[name].encoding for name in names]), strict=True))


@pytest.mark.parametrize("kernel", ["6.12", pytest.param("newest", marks=pytest.mark.slow)])
@pytest.mark.rule("IDENT-75")
def test_idregs_are_what_was_captured(kernel: str) -> None:
    with KvmHost(kernel_at_hand(kernel), cpu="neoverse-n1") as live:
        registers = _captured(live, ())
        vcpu = vcpu_in(live, STATES[0])
        # The agent is the init. Its VM's folder is named by the number of the file.
        told = live.read_file(f"/sys/kernel/debug/kvm/1-{vcpu.file - 2}/idregs")
        assert told is not None
        [cluster] = from_idregs(told.decode().splitlines(), "idregs").clusters
        assert len(cluster.cpu.registers) > 40
        assert cluster.cpu.registers.items() <= registers.items()


@pytest.mark.slow
@pytest.mark.rule("IDENT-75")
def test_a_host_with_a_gicv2(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = kernel_at_hand("6.12")
    older = [word.replace("gic-version=3", "gic-version=2") for word in agent._MACHINE]
    monkeypatch.setattr(agent, "_MACHINE", tuple(older))
    with KvmHost(kernel, cpu="cortex-a72") as live:
        host = capture(live, "h", ("pmu",))
    assert host.gic == 2
    assert host.notes == ("vCPUs have pmu",)
    assert host.clusters[0].cpu.registers["CNTFRQ_EL0"] == 62_500_000
