/* The virtual and the physical timer of every CPU: PPIs 27 and 30, which are level-sensitive. */
#include "guest.h"

const char name[] = "timers";

enum { VIRTUAL = 27, PHYSICAL = 30, ENABLE = 1, MASKED = 2, MET = 4 };

static volatile unsigned levels; /* how often an interrupt is left as it is */
static volatile uint64_t early;	 /* interrupts before their time */
static volatile bool woke;

static void silence(unsigned intid)
{
	if (intid == VIRTUAL) {
		early += now() < MRS(cntv_cval_el0) || !(MRS(cntv_ctl_el0) & MET);
		if (!levels)
			MSR(cntv_ctl_el0, ENABLE | MASKED);
	} else {
		early += !(MRS(cntp_ctl_el0) & MET);
		MSR(cntp_ctl_el0, ENABLE | MASKED);
	}
	if (levels)
		levels--;
}

static void enable(void)
{
	set_bit(me(), GICD_ISENABLER, VIRTUAL);
	set_bit(me(), GICD_ISENABLER, PHYSICAL);
}

static void virtual_timer(void)
{
	MSR(cntv_cval_el0, now() + ticks(100));
	MSR(cntv_ctl_el0, ENABLE);
}

static void physical_timer(void)
{
	MSR(cntp_tval_el0, ticks(100));
	MSR(cntp_ctl_el0, ENABLE);
}

static void sleep_masked(void)
{
	mask();
	MSR(cntv_cval_el0, now() + ticks(300));
	MSR(cntv_ctl_el0, ENABLE);
	while (!(MRS(cntv_ctl_el0) & MET))
		asm volatile("wfi");
	woke = true;
	unmask();
}

static void past(void)
{
	MSR(cntv_cval_el0, now() - 1);
	MSR(cntv_ctl_el0, ENABLE);
}

static void far(void)
{
	MSR(cntv_cval_el0, ~0ull);
	MSR(cntv_ctl_el0, ENABLE);
}

static bool once(unsigned cpu, unsigned intid)
{
	bool arrives = EVENTUALLY(taken(cpu, intid));
	wait(200);
	return arrives && taken(cpu, intid) == 1 && !taken_by_others(cpu, intid);
}

void test(void)
{
	handler = silence;
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		run_on(cpu, enable);
		forget();
		run_on(cpu, virtual_timer);
		check(once(cpu, VIRTUAL), "the virtual timer interrupts CPU %u", cpu);
		run_on(cpu, physical_timer);
		check(once(cpu, PHYSICAL), "the physical timer interrupts CPU %u", cpu);
		forget();
		run_on(cpu, past);
		check(once(cpu, VIRTUAL), "a time that has passed interrupts CPU %u at once", cpu);
		forget();
		run_on(cpu, far);
		wait(200);
		check(!taken(cpu, VIRTUAL), "a time that is far away does not interrupt CPU %u", cpu);
		forget();
		woke = false;
		run_on(cpu, sleep_masked);
		check(woke && once(cpu, VIRTUAL), "WFI of CPU %u ends though PSTATE.I masks the interrupt", cpu);
	}
	forget();
	levels = 3;
	virtual_timer();
	bool arrives = EVENTUALLY(!levels && MRS(cntv_ctl_el0) & MASKED);
	check(arrives && taken(me(), VIRTUAL) == 4, "while its level is high, an interrupt is taken anew");
	check(!bit_of(me(), GICD_ISPENDR, VIRTUAL), "once its level is low, it is not pending");
	check(!early, "no interrupt came before its time");
}
