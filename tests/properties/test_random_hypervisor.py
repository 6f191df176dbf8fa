"""Random hypervisors and their guests, on the model and on a reference that was written without it."""

from random import Random

import pytest

import vgic
from virtual_reference import ReferenceVirtualInterface

OPERATIONS = 2_000
SPIS = range(32, 64)
VIRTUAL = [0, 5, 27, 40, 41, 99, 8192, 8200]
_IAR = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)
_EOIR = (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1)
_HPPIR = (vgic.ICC_HPPIR0_EL1, vgic.ICC_HPPIR1_EL1)
_BPR = (vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1)
_IGRPEN = (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1)


class Pair:
    """Both, and random operations on them."""

    def __init__(self, seed: int, nmi: bool) -> None:
        self.random = Random(seed)
        self.has_nmis = nmi
        self.count = self.random.choice((1, 2, 4, 16))
        config = vgic.Config(vgic.Topology.kvm(1), spis=32, list_registers=self.count, nmi=nmi)
        self.gic = vgic.Gic(config)
        self.reference = ReferenceVirtualInterface(self.count, nmi)
        self.taken: list[tuple[int, int]] = []

    def compare(self) -> None:
        gic, reference = self.gic, self.reference
        assert gic.virtual_outputs(0) == reference.outputs()
        assert gic.virtual_nmi(0) == reference.nmi()
        assert gic.ppi(0, 25).level == reference.maintenance()
        reads = {
            vgic.ICH_HCR_EL2: reference.hcr,
            vgic.ICH_VMCR_EL2: reference.vmcr(),
            vgic.ICH_MISR_EL2: reference.misr(),
            vgic.ICH_EISR_EL2: reference.eisr(),
            vgic.ICH_ELRSR_EL2: reference.elrsr(),
            vgic.ICH_AP0R0_EL2: reference.ap[0],
            vgic.ICH_AP1R0_EL2: reference.ap[1] | reference.nmi_active << 63,
            **{vgic.ICH_LR0_EL2 + number: lr for number, lr in enumerate(reference.lr)},
        }
        assert {register: gic.sysreg_read(0, register) for register in reads} == reads
        assert gic.icv_read(0, vgic.ICC_RPR_EL1) == reference.rpr()
        for group in (0, 1):
            assert gic.icv_read(0, _HPPIR[group]) == reference.hppir(group)
            assert gic.icv_read(0, _BPR[group]) == reference.read_bpr(group)

    def step(self) -> None:
        random = self.random
        kinds = [self.list_register] * 4 + [self.take] * 4 + [self.end] * 4 + [self.deactivate, self.control]
        random.choice([*kinds, self.machine_control, self.guest_control, self.active_priorities])()

    def list_register(self) -> None:
        random, number = self.random, self.random.randrange(self.count)
        others = {lr & 0xFFFF_FFFF for n, lr in enumerate(self.reference.lr) if n != number and lr >> 62}
        intid = random.choice([intid for intid in VIRTUAL if intid not in others] or [777 + number])
        hardware = random.random() < 0.3
        state = random.choice((0, 1, 1, 1, 2) if hardware else (0, 1, 1, 1, 2, 3))
        value = (
            state << 62 | random.getrandbits(1) << 60 | random.choice((0x10, 0x40, 0x48, 0xA0, 0xF8, 0xFF)) << 48
        )
        value |= (random.random() < 0.3) << 59
        value |= 1 << 61 | random.choice(SPIS) << 32 if hardware else random.getrandbits(1) << 41
        self.gic.sysreg_write(0, vgic.ICH_LR0_EL2 + number, value | intid)
        self.reference.write_lr(number, value | intid)

    def take(self) -> None:
        group = self.random.getrandbits(1)
        # So that it can be seen which is deactivated, all physical interrupts are active.
        self.gic.write(0x0800_0300 + 4, 4, 0xFFFF_FFFF)
        if self.has_nmis and self.random.random() < 0.3:
            group, got = 1, self.gic.icv_read(0, vgic.ICC_NMIAR1_EL1)
            assert got == self.reference.nmiar()
        else:
            got = self.gic.icv_read(0, _IAR[group])
            assert got == self.reference.iar(group)
        if got < 1022:
            self.taken.append((group, got))

    def end(self) -> None:
        random = self.random
        group, intid = random.getrandbits(1), random.choice([*VIRTUAL, 1023])
        if self.taken and random.random() < 0.8:
            group, intid = self.taken.pop()
        self.physical(lambda: self.gic.icv_write(0, _EOIR[group], intid), lambda: self.reference.eoir(group, intid))

    def deactivate(self) -> None:
        intid = self.random.choice([*VIRTUAL, 1020])
        self.physical(lambda: self.gic.icv_write(0, vgic.ICC_DIR_EL1, intid), lambda: self.reference.dir(intid))

    def physical(self, on_gic: object, on_reference: object) -> None:
        """Both end the same physical interrupts."""
        assert callable(on_gic)
        assert callable(on_reference)
        self.gic.write(0x0800_0300 + 4, 4, 0xFFFF_FFFF)
        self.reference.deactivated.clear()
        on_gic()
        on_reference()
        inactive = ~self.gic.read(0x0800_0300 + 4, 4) & 0xFFFF_FFFF
        assert inactive == sum(1 << (intid - 32) for intid in self.reference.deactivated)

    def control(self) -> None:
        value = self.random.getrandbits(32) & (0xFF if self.random.random() < 0.5 else 0xF800_00FF)
        value |= self.random.random() < 0.9
        self.gic.sysreg_write(0, vgic.ICH_HCR_EL2, value)
        self.reference.write_hcr(value)

    def machine_control(self) -> None:
        value = self.random.getrandbits(32) | self.random.choice((0, 0b11, 0xF0 << 24 | 0b11))
        self.gic.sysreg_write(0, vgic.ICH_VMCR_EL2, value)
        self.reference.write_vmcr(value)

    def guest_control(self) -> None:
        random, gic, reference = self.random, self.gic, self.reference
        group, value = random.getrandbits(1), random.getrandbits(8)
        match random.randrange(5 if self.has_nmis else 4):
            case 0:
                gic.icv_write(0, vgic.ICC_PMR_EL1, value)
                reference.pmr = value & 0xF8
            case 1:
                gic.icv_write(0, _BPR[group], value & 7)
                reference.write_bpr(group, value)
            case 2:
                gic.icv_write(0, vgic.ICC_CTLR_EL1, value & 3)
                reference.cbpr, reference.split = bool(value & 1), bool(value & 2)
            case 3:
                enable = value & 3 != 0
                gic.icv_write(0, _IGRPEN[group], enable)
                reference.enable[group] = enable
            case 4:
                reference.sctlr_nmi = bool(group)
                gic.set_pe_state(0, vgic.PeState(2, sctlr_nmi=bool(group)))

    def active_priorities(self) -> None:
        """Those of one group; a bit in both is UNPREDICTABLE."""
        group = self.random.getrandbits(1)
        value = 0 if self.random.random() < 0.7 else 1 << self.random.randrange(32)
        value &= ~self.reference.ap[1 - group]
        register = (vgic.ICH_AP0R0_EL2, vgic.ICH_AP1R0_EL2)[group]
        nmi = self.random.random() < 0.2
        self.gic.sysreg_write(0, register, value | nmi << 63)
        self.reference.ap[group] = value
        if group:
            self.reference.nmi_active = self.has_nmis and nmi


@pytest.mark.rule("VCPU-5", "VCPU-7", "VCPU-9", "VCPU-11", "VCPU-12", "VCPU-13", "VCPU-14", "VCPU-15")
@pytest.mark.rule("VCPU-29", "VCPU-30", "VCPU-31")
@pytest.mark.parametrize("nmi", [False, True], ids=["plain", "nmi"])
@pytest.mark.parametrize("seed", range(6))
def test_random_hypervisors_and_guests(seed: int, nmi: bool) -> None:
    pair = Pair(seed, nmi)
    for number in range(OPERATIONS):
        pair.step()
        pair.compare()
        if number % 50 == 0:
            pair.gic.check()
            state = pair.gic.save()
            again = vgic.Gic(pair.gic.config)
            again.restore(state)
            assert again.save() == state
