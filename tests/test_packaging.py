"""The source distribution and the wheel that is built from it, installed where nothing else is."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    settings = os.environ | {"VGIC_COMPILE": "0"}
    result = subprocess.run(
        command, cwd=cwd, env=settings, capture_output=True, text=True, timeout=500, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, cwd=ROOT)
    (found,) = folder.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    folder = sdist.parent
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, sdist, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


def test_the_source_distribution_has_what_a_build_and_a_reader_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "pyproject.toml", "setup.py"} <= names
    assert {f"tools/{path.name}" for path in (ROOT / "tools").glob("*.py")} <= names
    assert {f"specs/{path.name}" for path in (ROOT / "specs").glob("*.md")} <= names


def test_the_wheel_has_its_licence_and_types_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = message_from_bytes(archive.read(metadata))
    assert said["License-Expression"] == "Apache-2.0"
    assert said["License-File"] == "LICENSE"
    assert said["Description-Content-Type"] == "text/markdown"
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"mmio/py.typed", "vgic/py.typed", "vgic_tools/py.typed"} <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"mmio", "vgic", "vgic_tools"}
    # QEMU's qtest is no test of ours.
    assert not [name for name in names if "test" in name.lower() and not name.endswith("/judges/qtest.py")]
    for package, folder in (("mmio", "mmio"), ("vgic", "vgic"), ("vgic_tools", "tools/vgic_tools")):
        sources = {f"{package}/{path.relative_to(ROOT / folder)}" for path in (ROOT / folder).rglob("*.py")}
        assert sources <= set(names)


def test_the_wheel_works_where_nothing_else_is(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", wheel, cwd=tmp_path)
    version = wheel.name.split("-")[1]
    assert version in run(binaries / "vgic", "--version", cwd=tmp_path)
