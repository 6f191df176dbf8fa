"""The experiment `mismatch`: an Aff3 in MPIDR_EL1 alone, on live KVMs and in the model."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from live_hosts import kernel_at_hand
from vgic_tools.affinity.mismatch_study import AS_KVM, WITH_AFF3, MismatchPoint, measure_mismatch
from vgic_tools.cli import main
from vgic_tools.judges.kernels import SUITES


@pytest.mark.rule("A3V-7")
def test_the_model_has_aff3_everywhere_or_as_kvm_does() -> None:
    everywhere = measure_mismatch(MismatchPoint(WITH_AFF3))
    assert (everywhere.mpidr, everywhere.typer) == ("0x180000001", "0x100000100000110")
    assert everywhere.router == everywhere.router_written == "0x100000001"
    assert (everywhere.found, everywhere.sgi_arrives, everywhere.spi_arrives) == (True, True, True)
    as_kvm = measure_mismatch(MismatchPoint(AS_KVM))
    assert (as_kvm.mpidr, as_kvm.typer, as_kvm.router) == ("0x180000001", "0x100000110", "0x1")
    assert (as_kvm.found, as_kvm.sgi_arrives, as_kvm.spi_arrives) == (False, True, False)


@pytest.mark.slow
@pytest.mark.rule("A3V-7")
@pytest.mark.parametrize("kernel", SUITES)
def test_a_live_kvm_shows_what_the_model_shows_of_it(kernel: str) -> None:
    kernel_at_hand(kernel)
    row = measure_mismatch(MismatchPoint(f"KVM, kernel {kernel}"))
    model = measure_mismatch(MismatchPoint(AS_KVM))
    assert replace(model, subject=row.subject, version=row.version) == row


def test_the_command_says_when_only_the_model_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGIC_CACHE", str(tmp_path))
    outcome = CliRunner().invoke(
        main, ["affinity", "mismatch", "--jobs", "1", "--output", str(tmp_path / "results")]
    )
    assert outcome.exit_code == 0
    assert "only the model is asked: " in outcome.stderr
    assert WITH_AFF3 in outcome.stdout
    assert "KVM, kernel" not in (tmp_path / "results" / "mismatch.csv").read_text()
    assert WITH_AFF3 in (tmp_path / "results" / "mismatch.html").read_text()
