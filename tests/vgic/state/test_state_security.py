"""The state of a VM with two Security states: saved, in a file, restored, and refused where it cannot be."""

import random

import pytest

import vgic
from isolation import CPUS, NONSECURE_EL1, SECURE_EL1, Operations, Scenario, perform
from offsets import BANK, GICD, GICR
from two_states import DS, TwoStates

GRP1S, GRP1NS = 1 << 2, 1 << 1
DPG1S = 1 << 26


def busy() -> TwoStates:
    """A VM in which each register of two states has a value."""
    guest = TwoStates()
    guest.set_gicd(GICD.CTLR, GRP1S | GRP1NS, True)
    guest.set_gicd(BANK.IGRPMODR + 4, 0xF0F0, True)
    guest.set_gicd(BANK.IGROUPR + 4, 0x0FF0, True)
    guest.set_gicd(BANK.NSACR + 8, 0x1B1B_E4E4, True)
    guest.set_gicd(BANK.NSACR + 12, 0xFFFF_0000, True)
    guest.set_gicr(GICR.SGI_BASE + BANK.IGRPMODR, 0xFFFF, True, cpu=1)
    guest.set_gicr(GICR.SGI_BASE + BANK.NSACR, 0x1234, True, cpu=1)
    guest.set_gicr(GICR.CTLR, DPG1S, True)
    return guest


@pytest.mark.rule("SEC-11")
@pytest.mark.parametrize("joined", [False, True])
def test_a_state_comes_back(joined: bool) -> None:
    guest = busy()
    if joined:
        guest.join_states()
    state = guest.gic.save()
    assert state["vm"]["security"] == "two"
    other = busy()
    other.gic.restore(state)
    other.gic.check()
    assert other.gic.save() == state
    for secure in (False, True):
        for offset in (GICD.CTLR, GICD.TYPER, BANK.IGRPMODR + 4, BANK.NSACR + 8, BANK.NSACR + 12, BANK.IGROUPR + 4):
            assert other.gicd(offset, secure) == guest.gicd(offset, secure)
        for offset in (GICR.CTLR, GICR.SGI_BASE + BANK.IGRPMODR, GICR.SGI_BASE + BANK.NSACR):
            assert other.gicr(offset, secure, cpu=1) == guest.gicr(offset, secure, cpu=1)


@pytest.mark.rule("SEC-11")
def test_a_vm_of_two_states_takes_the_state_from_before_ds_was_set() -> None:
    guest = busy()
    state = guest.gic.save()
    guest.join_states()
    guest.gic.restore(state)
    assert guest.gicd(GICD.CTLR, True) & DS == 0
    assert guest.gicd(BANK.IGRPMODR + 4, True) == 0xF0F0
    assert guest.gicd(BANK.IGRPMODR + 4, False) == 0


@pytest.mark.rule("SEC-11")
def test_the_file_of_a_state_is_enough_to_build_the_vm() -> None:
    guest = busy()
    built = vgic.State.from_bytes(vgic.State.of(guest.gic).to_bytes()).build()
    assert built.config.security == "two"
    assert built.save() == guest.gic.save()


@pytest.mark.rule("SEC-11")
def test_a_vm_of_one_state_takes_no_state_of_two() -> None:
    one = vgic.Gic(vgic.Config(vgic.Topology.kvm(2), spis=32))
    assert "security" not in one.save()["vm"]
    with pytest.raises(vgic.StateError, match=r"vm\.security is 'two' in the state, 'one' in this VM"):
        one.restore(busy().gic.save())
    with pytest.raises(vgic.StateError, match=r"vm\.security is 'one' in the state, 'two' in this VM"):
        busy().gic.restore(one.save())


@pytest.mark.rule("SEC-1", "SEC-11")
@pytest.mark.parametrize(
    ("register", "value", "reason"),
    [
        ("GICD_CTLR", DS | GRP1S, "EnableGrp1S"),
        ("GICD_CTLR", DS, "Secure Group 1"),
        ("GICD_CTLR", 1 << 5, "GICD_CTLR = 0x20"),
        ("GICD_IGRPMODR2", 1, "no such register"),
        ("GICD_NSACR4", 1, "no such register"),
    ],
)
def test_what_cannot_be_is_refused(register: str, value: int, reason: str) -> None:
    guest = busy()
    state = guest.gic.save()
    changed = {**state, "registers": {**state["registers"], register: value}}
    with pytest.raises(vgic.StateError, match=reason):
        guest.gic.restore(changed)
    assert guest.gic.save() == state


@pytest.mark.rule("SEC-11")
@pytest.mark.parametrize("profile", [vgic.ARCH, vgic.QEMU])
def test_nobody_can_tell_a_restored_vm_from_one_that_only_ran(profile: vgic.Profile) -> None:
    signalled = 0
    for seed in range(2):
        rng = random.Random(f"{profile.name} {seed}")
        scenario = Scenario.random(rng, opened=True)
        runs, moves = scenario.build(profile), scenario.build(profile)
        states = dict.fromkeys(range(CPUS), SECURE_EL1)
        for count, operation in enumerate(Operations(scenario, runs, rng).some(400, 0.5, True)):
            assert perform(runs, operation) == perform(moves, operation), (seed, count, operation)
            if operation.kind in ("mrs", "msr"):
                states[operation.cpu] = SECURE_EL1 if operation.secure else NONSECURE_EL1
            if count == 350:
                for gic in (runs, moves):
                    gic.write(gic.config.gicd_base, 4, DS | 0b11, secure=True)
            if rng.random() < 0.1:
                moves = vgic.State.from_bytes(vgic.State.of(moves).to_bytes()).build(
                    profile=profile, memory=moves.memory
                )
                # The state that a PE is in is its own, and not in the GIC's.
                for cpu in range(CPUS):
                    for gic in (runs, moves):
                        gic.set_pe_state(cpu, states[cpu])
                assert moves.save() == runs.save(), (seed, count)
            for cpu in range(CPUS):
                assert runs.outputs(cpu) == moves.outputs(cpu), (seed, count, operation)
                assert runs.highest_pending(cpu) == moves.highest_pending(cpu), (seed, count, operation)
                signalled += any(moves.outputs(cpu))
    assert signalled > 200


@pytest.mark.rule("SEC-11")
def test_a_file_with_another_number_of_states_is_refused() -> None:
    state = busy().gic.save()
    state["vm"]["security"] = "three"  # type: ignore[typeddict-item]
    with pytest.raises(vgic.StateError, match="security is 'three', none of one, two"):
        vgic.State.from_bytes(vgic.State(state).to_bytes())
