/* CPUs off and on by PSCI, and what becomes of the interrupts of one that is off. */
#include "guest.h"

const char name[] = "cpus";

enum { SPI = 40, ON = 0, OFF = 1, INVALID_PARAMETERS = -2, ALREADY_ON = -4 };

static void leave(void)
{
	mask();
	MSR(ICC_IGRPEN1_EL1, 0);
	write32(cpus[me()].redistributor + GICR_WAKER, 2);
	psci(CPU_OFF, 0, 0, 0);
}

static int64_t state(unsigned cpu) { return psci(AFFINITY_INFO, mpidr_of(cpus[cpu].affinity), 0, 0); }

static void off_and_on(unsigned cpu)
{
	forget();
	check(state(cpu) == ON, "CPU %u is on", cpu);
	check(turn_on(cpu) == ALREADY_ON, "turning it on again is refused");
	post_to(cpu, leave);
	check(EVENTUALLY(state(cpu) == OFF), "it goes off");
	route(SPI, mpidr_of(cpus[cpu].affinity));
	set_bit(0, GICD_ISPENDR, SPI);
	wait(200);
	check(!taken_by_all(SPI) && bit_of(0, GICD_ISPENDR, SPI), "an SPI for it stays pending");
	check(turn_on(cpu) == 0 && state(cpu) == ON, "it comes back");
	check(EVENTUALLY(taken(cpu, SPI) == 1) && !taken_by_others(cpu, SPI), "and takes the SPI");
	send_sgi(cpus[cpu].affinity, 1);
	check(EVENTUALLY(taken(cpu, 1) == 1), "and an SGI");
}

void test(void)
{
	write32(GICD + GICD_ICFGR + SPI / 16 * 4, 2u << SPI % 16 * 2);
	set_bit(0, GICD_ISENABLER, SPI);
	check(psci(CPU_ON, mpidr_of(cpus[0].affinity ^ 0x40 << 8), 0, 0) == INVALID_PARAMETERS,
	      "a CPU that is not there cannot be turned on");
	if (cpu_count == 1)
		skip("there is one CPU only");
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		if (cpu != me())
			off_and_on(cpu);
}
