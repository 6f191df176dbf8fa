"""Whether a test of the suite notices a fault: it is run by itself, in this process, while the fault is there."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import vgic

__all__ = ["Fault", "assert_noticed", "assert_the_tests_pass"]

Fault = tuple[Any, str, Any, str]
"""A class or module, the name in it that is replaced, by what, and the test that notices."""

ROOT: Final = Path(__file__).parents[2]

_OTHERS: Final = ("cacheprovider", "faulthandler", "terminal", "xdist")
"""Plugins that the run around this one has, or that would print."""


class _Heard:
    """What became of the tests."""

    def __init__(self) -> None:
        self.passed = 0
        self.failures: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        assert not report.failed, report.longrepr

    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None:
            self.failures.append(f"{call.when}: {call.excinfo.typename}")
        else:
            self.passed += call.when == "call"


def _run(*names: str) -> tuple[int, list[str]]:
    """Run tests, "tests/a/test_b.py::test_c", to the first that fails: how many passed, and how one failed."""
    heard = _Heard()
    options = [item for name in _OTHERS for item in ("-p", f"no:{name}")]
    # Without the project's options, which name those plugins.
    options += [f"--rootdir={ROOT}", "-c", os.devnull, "-o", "markers=rule(*ids): the rules of specs/"]
    pytest.main(["-x", *options, *(str(ROOT / name) for name in names)], plugins=[heard])
    return heard.passed, heard.failures


def assert_the_tests_pass(file: str, faults: Mapping[str, Fault], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test of `file` that one of the faults names, without a fault."""
    monkeypatch.setattr(vgic.Gic, "check", lambda self: None)
    names = {test for *_, test in faults.values()}
    passed, failures = _run(*(file + name for name in sorted(names)))
    assert failures == []
    assert passed >= len(names)


def assert_noticed(file: str, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the fault fails by an assertion of its own, not because the fault makes something crash."""
    owner, name, method, test = fault
    monkeypatch.setattr(vgic.Gic, "check", lambda self: None)
    monkeypatch.setattr(owner, name, method)
    assert set(_run(file + test)[1]) == {"call: AssertionError"}
