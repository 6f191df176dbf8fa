"""Forty thousand random operations, recorded on QEMU with every result: the model gives the same ones."""

from operations import Mismatch, perform, recorded_machine, recorded_operations


def test_every_recorded_result_is_reproduced() -> None:
    gic = recorded_machine()
    performed = compared = 0
    for operation in recorded_operations():
        got = perform(gic, operation)
        performed += 1
        if operation.result is not None:
            compared += 1
            assert got == operation.result, str(Mismatch(operation, got))
        if performed % 500 == 0:
            gic.check()
    assert (performed, compared) == (40_001, 15_892)
