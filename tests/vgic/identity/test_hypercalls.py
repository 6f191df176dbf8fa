"""The calls by which a guest learns where it may run; tests/oracles/test_live_hypercalls.py asks KVM itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.identity import Cpu, HostError
from vgic.identity.errata import workarounds
from vgic.identity.erratum import Implementation
from vgic.identity.hypercalls import (
    CALL_UID,
    DISCOVER_IMPL_CPUS,
    DISCOVER_IMPL_VER,
    FEATURES,
    INVALID_PARAMETER,
    NOT_SUPPORTED,
    SUCCESS,
    UID,
    ErratumNumbers,
    Registers,
    TargetCalls,
    bitmap,
    discovered,
    numbers_in,
)
from vgic.kvm import KvmError

LIST = [
    Implementation(0x413FD0C1, 0xFF, 0),
    Implementation(0xC00FAC40, 0, 0),
    Implementation(0x611F0390, 1, 0x6AFD5797),
]
words = st.integers(0, (1 << 64) - 1)


def calls(advertised: int = 3, targets: list[Implementation] = LIST) -> TargetCalls:
    made = TargetCalls(targets)
    made.set_advertised(advertised)
    return made


@pytest.mark.rule("IDENT-57")
def test_the_calls_have_the_numbers_that_landed() -> None:
    assert (CALL_UID, FEATURES, DISCOVER_IMPL_VER, DISCOVER_IMPL_CPUS) == (
        0x8600FF01,
        0x86000000,
        0xC6000040,
        0xC6000041,
    )
    text = b"".join(word.to_bytes(4, "little") for word in UID).hex()
    assert text == "28b46fb62ec511e9a9ca4b564d003a74"
    assert calls().call(CALL_UID) == UID


@pytest.mark.rule("IDENT-57")
def test_what_each_call_returns() -> None:
    device = calls()
    assert device.call(DISCOVER_IMPL_VER) == (0, 0x0001_0000, 3, 0)
    assert [device.call(DISCOVER_IMPL_CPUS, index) for index in range(3)] == [(0, *target) for target in LIST]
    assert calls(targets=[]).call(DISCOVER_IMPL_VER) == (0, 0x0001_0000, 0, 0)
    # Only W0 is the function's identifier.
    assert device.call(0xFFFF_FFFF_0000_0000 | DISCOVER_IMPL_CPUS, 1) == (0, *LIST[1])


@pytest.mark.rule("IDENT-57")
def test_a_wrong_argument_is_an_invalid_parameter() -> None:
    device = calls()
    for arguments in ((3, 0, 0), (1 << 63, 0, 0), ((1 << 64) - 1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert device.call(DISCOVER_IMPL_CPUS, *arguments) == ((1 << 64) - 3, 0, 0, 0)
    assert calls(targets=[]).call(DISCOVER_IMPL_CPUS, 0) == Registers(INVALID_PARAMETER)


@pytest.mark.rule("IDENT-57")
def test_what_is_not_advertised_is_not_supported() -> None:
    for advertised in range(4):
        device = calls(advertised)
        told = [device.call(DISCOVER_IMPL_VER).r0, device.call(DISCOVER_IMPL_CPUS).r0]
        assert told == [SUCCESS if advertised >> bit & 1 else NOT_SUPPORTED for bit in range(2)]
        assert device.call(FEATURES) == (1, 0, advertised, 0)
    for function in (0xC600_0042, 0xC600_003F, 0x8600_0040, 0x8400_0000, 0):
        assert calls().call(function) == ((1 << 64) - 1, 0, 0, 0)


@pytest.mark.rule("IDENT-57")
@given(words, words, words, words, st.integers(0, 3))
def test_no_call_does_more_than_return(r0: int, r1: int, r2: int, r3: int, advertised: int) -> None:
    assert all(0 <= word < 1 << 64 for word in calls(advertised).call(r0, r1, r2, r3))


@pytest.mark.rule("IDENT-57")
def test_what_is_advertised_is_settled_by_running() -> None:
    device = TargetCalls(LIST)
    assert device.advertised == 0

    def write(bits: int) -> str:
        try:
            device.set_advertised(bits)
        except KvmError as error:
            return error.name
        return "0"

    assert [write(bits) for bits in (3, 4, 1, 1 << 63 | 2)] == ["0", "EINVAL", "0", "EINVAL"]
    device.run()
    assert [write(bits) for bits in (1, 3, 0, 4)] == ["0", "EBUSY", "EBUSY", "EINVAL"]
    assert device.advertised == 1


@pytest.mark.rule("IDENT-57")
def test_a_list_has_values_that_fit_and_others_are_told_of() -> None:
    with pytest.raises(HostError, match=r"^targets\[0\]\.MIDR_EL1"):
        TargetCalls([(1 << 32, 0, 0)])
    assert TargetCalls(LIST, others=[1, 40]).call(FEATURES) == (0b11, 1 << 8, 0, 0)
    with pytest.raises(HostError, match=r"^128 is no number of a bitmap, which has 0 to 127$"):
        TargetCalls(LIST, others=[128])


@pytest.mark.rule("IDENT-58")
@given(st.lists(st.sampled_from(LIST), min_size=1, max_size=9))
def test_a_guest_learns_the_list_as_it_is(targets: list[Implementation]) -> None:
    made: list[tuple[int, ...]] = []
    there = calls(targets=targets)

    def call(*arguments: int) -> Registers:
        made.append(arguments)
        return there.call(*arguments)

    assert discovered(call) == (tuple(targets), "")
    # Registers that mean nothing are zero.
    entries = [(DISCOVER_IMPL_CPUS, index, 0, 0) for index in range(len(targets))]
    assert made == [(CALL_UID, 0, 0, 0), (FEATURES, 0, 0, 0), (DISCOVER_IMPL_VER, 0, 0, 0), *entries]


class Wrong:
    """A hypervisor that answers one call, of one index, with something else."""

    def __init__(self, function: int, answer: Registers, index: int = 0) -> None:
        self.function, self.answer, self.index = function, answer, index
        self.asked: list[int] = []

    def call(self, r0: int, r1: int, r2: int, r3: int) -> Registers:
        self.asked.append(r0)
        if r0 == self.function and r1 == self.index:
            return self.answer
        return calls().call(r0, r1, r2, r3)


@pytest.mark.rule("IDENT-58")
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (Wrong(CALL_UID, UID._replace(r3=0)), "the hypervisor is not KVM by its UID"),
        (Wrong(CALL_UID, Registers(NOT_SUPPORTED)), "the hypervisor is not KVM by its UID"),
        (Wrong(FEATURES, Registers(1, 0, 1)), "the calls are not among the features"),
        (Wrong(FEATURES, Registers(1, 0, 2)), "the calls are not among the features"),
        (Wrong(FEATURES, Registers(3, 3, 0, 3)), "the calls are not among the features"),
        (Wrong(DISCOVER_IMPL_VER, Registers(NOT_SUPPORTED)), "DISCOVER_IMPL_VER returned -1"),
        (Wrong(DISCOVER_IMPL_VER, Registers(1, 0x1_0000, 3)), "DISCOVER_IMPL_VER returned 1"),
        (
            Wrong(DISCOVER_IMPL_VER, Registers(0, 0x2_0001, 3)),
            "the version is 2.1, and the major one has to be 1",
        ),
        (Wrong(DISCOVER_IMPL_VER, Registers(0, 0x0_0001, 3)), "the version is 0.1, and the major one has to be 1"),
        (Wrong(DISCOVER_IMPL_VER, Registers(0, 0x1_0000, 0)), "the list is said to have no entry"),
        (
            Wrong(DISCOVER_IMPL_VER, Registers(0, 0x1_0000, (1 << 64) - 1)),
            "the list is said to have 18446744073709551615 entries, for which there is no memory",
        ),
        (
            Wrong(DISCOVER_IMPL_VER, Registers(0, 0x1_0000, 4)),
            "DISCOVER_IMPL_CPUS returned -3 for entry 3 of 4",
        ),
        (
            Wrong(DISCOVER_IMPL_CPUS, Registers(INVALID_PARAMETER), index=1),
            "DISCOVER_IMPL_CPUS returned -3 for entry 1 of 3",
        ),
        (Wrong(DISCOVER_IMPL_CPUS, Registers(1), index=2), "DISCOVER_IMPL_CPUS returned 1 for entry 2 of 3"),
    ],
)
def test_a_single_wrong_answer_and_the_list_is_ignored(wrong: Wrong, why: str) -> None:
    assert discovered(wrong.call) == ((), why)
    if wrong.function == DISCOVER_IMPL_CPUS:
        # It stops at the first error.
        assert wrong.asked.count(DISCOVER_IMPL_CPUS) == wrong.index + 1


@pytest.mark.rule("IDENT-58")
@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (DISCOVER_IMPL_VER, Registers(0, 0x1_FFFF, 3)),
        (DISCOVER_IMPL_VER, Registers(0, 0xFFFF_0000_0001_0000, 3, 9)),
        (FEATURES, Registers(*(0xFFFF_FFFF_0000_0000 | word for word in (1, 0, 3, 0)))),
        (FEATURES, Registers(0, 0, 7)),
    ],
)
def test_what_a_guest_does_not_look_at(function: int, answer: Registers) -> None:
    assert discovered(Wrong(function, answer).call).targets == tuple(LIST)


@pytest.mark.rule("IDENT-58")
def test_a_guest_that_ignores_its_list_goes_by_its_own_cpu() -> None:
    own = Cpu({"MIDR_EL1": 0x412FD050, "REVIDR_EL1": 0, "CTR_EL0": 0x8444_C004})
    told = discovered(Wrong(DISCOVER_IMPL_CPUS, Registers(INVALID_PARAMETER), index=2).call)
    assert workarounds(told.targets, own) == workarounds([], own) != workarounds(LIST, own)


@pytest.mark.rule("IDENT-59")
@given(st.sets(st.integers(0, 127)))
def test_a_number_is_a_bit_of_one_of_four_registers(numbers: set[int]) -> None:
    registers = bitmap(numbers)
    assert numbers_in(registers) == numbers
    as_one = registers.r0 | registers.r1 << 32 | registers.r2 << 64 | registers.r3 << 96
    assert as_one == sum(1 << number for number in numbers)
    assert max(registers) < 1 << 32


@pytest.mark.rule("IDENT-59")
def test_numbers_beyond_a_bitmap_and_registers_that_are_none() -> None:
    for number in (-1, 128):
        with pytest.raises(HostError, match=f"^{number} is no number of a bitmap, which has 0 to 127$"):
            bitmap([number])
    with pytest.raises(HostError, match=r"^R1: 0x100000000 is no bitmap of 32 bits$"):
        numbers_in(Registers(0, 1 << 32))


MADE_UP = ErratumNumbers({"Arm 843419": 0, "Arm 1418040": 31, "Arm 1542419": 32, "Spectre BHB": 127})


@pytest.mark.rule("IDENT-59")
def test_errata_by_numbers_that_never_change() -> None:
    told = MADE_UP.registers(["Arm 1542419", "Arm 843419", "Spectre BHB"])
    assert told == (1, 1, 0, 1 << 31)
    assert MADE_UP.errata(told) == {"Arm 1542419", "Arm 843419", "Spectre BHB"}
    # An older guest knows nothing of what was numbered after it was made.
    newer = MADE_UP.extended({"Arm 3194386": 1})
    assert MADE_UP.errata(newer.registers(["Arm 3194386", "Arm 843419"])) == {"Arm 843419"}
    with pytest.raises(HostError, match=r"^Arm 843419 has the number 0, which never changes$"):
        MADE_UP.extended({"Arm 843419": 1})
    with pytest.raises(HostError, match=r"^Arm 1 and Arm 843419 have one number, 0$"):
        ErratumNumbers({"Arm 1": 0, "Arm 843419": 0})
    with pytest.raises(HostError, match=r"^Arm 843419 and Arm 1 have one number, 0$"):
        MADE_UP.extended({"Arm 1": 0})
    with pytest.raises(HostError, match=r"^128 is no number"):
        ErratumNumbers({"Arm 1": 128})
    with pytest.raises(HostError, match=r"^Arm 3194386 has no number$"):
        MADE_UP.registers(["Arm 3194386"])


@pytest.mark.rule("IDENT-59")
def test_a_hypervisor_without_the_call_names_no_erratum() -> None:
    with pytest.raises(HostError, match=r"^R0: 0xffffffffffffffff is no bitmap of 32 bits$"):
        MADE_UP.errata(calls().call(0xC600_0042))
