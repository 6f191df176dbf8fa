/* SGIs: to oneself, to one, to lists, to all others; with Aff3 and the range selector; and what becomes of them. */
#include "guest.h"

const char name[] = "sgis";

static bool everybody_but(unsigned self, unsigned intid, unsigned times)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		if (taken(cpu, intid) != (cpu == self ? 0 : times))
			return false;
	return true;
}

static void to_one(void)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		forget();
		send_sgi(cpus[cpu].affinity, 1);
		bool arrives = EVENTUALLY(taken(cpu, 1));
		wait(200);
		check(arrives && taken(cpu, 1) == 1 && !taken_by_others(cpu, 1), "an SGI for %a goes to CPU %u%s",
		      cpus[cpu].affinity, cpu, cpu == me() ? ", which sends it" : "");
	}
}

static uint32_t range_of(uint32_t affinity) { return affinity / 16; }

static void to_lists(void)
{
	for (unsigned first = 0; first < cpu_count; first++) {
		uint16_t list = 0;
		unsigned members = 0;
		bool earlier = false;
		for (unsigned cpu = 0; cpu < cpu_count; cpu++)
			if (range_of(cpus[cpu].affinity) == range_of(cpus[first].affinity)) {
				list |= 1 << cpus[cpu].affinity % 16;
				members++;
				earlier |= cpu < first;
			}
		if (earlier)
			continue;
		forget();
		send_sgis(cpus[first].affinity, (cpus[first].affinity & 0xff) / 16, list, 2);
		bool arrives = EVENTUALLY(taken_by_all(2) == members), right = true;
		wait(200);
		for (unsigned cpu = 0; cpu < cpu_count; cpu++)
			right &= taken(cpu, 2) == (range_of(cpus[cpu].affinity) == range_of(cpus[first].affinity));
		check(arrives && right, "a list that begins at %a goes to the %u CPUs that it names",
		      cpus[first].affinity & ~15u, members);
	}
}

static void to_all_others(void)
{
	forget();
	MSR(ICC_SGI1R_EL1, 1ull << 40 | 3 << 24);
	bool arrives = EVENTUALLY(everybody_but(me(), 3, 1));
	wait(200);
	check(arrives && everybody_but(me(), 3, 1), "an SGI for all others goes to all others");
}

static void to_nobody(void)
{
	forget();
	uint32_t own = cpus[me()].affinity;
	uint32_t changed[] = { own ^ 0x40 << 8, own ^ 0x40 << 16, own ^ 0x40u << 24 };
	const char *levels[] = { "Aff1", "Aff2", "Aff3" };
	bool aff3 = read32(GICD + GICD_TYPER) & 1 << 24 && MRS(ICC_CTLR_EL1) & 1 << 15;
	for (unsigned i = 0; i < 3; i++) {
		if (i == 2 && !aff3) {
			skip("this GIC has no Aff3");
			continue;
		}
		send_sgi(changed[i], 4);
		wait(200);
		check(!taken_by_all(4), "an SGI for an %s where there is nobody goes to nobody", levels[i]);
	}
	if (!(MRS(ICC_CTLR_EL1) & 1 << 18))
		skip("this GIC has no range selector");
	else {
		send_sgis(own, 15 - (own & 0xff) / 16, 1 << own % 16, 4);
		wait(200);
		check(!taken(me(), 4), "an SGI for another range does not go to the CPU with the same bit");
	}
}

static void disabled(void)
{
	unsigned last = cpu_count - 1;
	forget();
	set_bit(last, GICD_ICENABLER, 5);
	send_sgi(cpus[last].affinity, 5);
	wait(200);
	check(!taken(last, 5) && bit_of(last, GICD_ISPENDR, 5), "an SGI that is disabled stays pending");
	set_bit(last, GICD_ISENABLER, 5);
	check(EVENTUALLY(taken(last, 5) == 1) && !bit_of(last, GICD_ISPENDR, 5), "enabled, it is taken");
}

static void twice(void)
{
	forget();
	mask();
	send_sgi(cpus[me()].affinity, 6);
	send_sgi(cpus[me()].affinity, 6);
	check(MRS(ICC_HPPIR1_EL1) == 6, "ICC_HPPIR1_EL1 shows an SGI that is masked by PSTATE.I");
	unmask();
	check(EVENTUALLY(taken(me(), 6)) && taken(me(), 6) == 1, "sent twice before it is taken, it is taken once");
}

void test(void)
{
	to_one();
	to_lists();
	to_all_others();
	to_nobody();
	disabled();
	twice();
}
