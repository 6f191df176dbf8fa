/* SPIs: where GICD_IROUTER sends them, to one or to one of N; edges and levels. */
#include "guest.h"

const char name[] = "spis";

enum { EDGE = 40, SPARE = 41, UART_SPI = 33, ONE_OF_N = 1u << 31, UART_IMSC = 0x38, UART_ICR = 0x44, TX = 1 << 5 };

static void quieten(unsigned intid)
{
	if (intid == UART_SPI)
		write32(UART + UART_IMSC, 0);
}

static bool only(unsigned cpu, unsigned intid, unsigned times)
{
	bool arrives = EVENTUALLY(taken(cpu, intid) == times);
	wait(200);
	return arrives && taken(cpu, intid) == times && !taken_by_others(cpu, intid);
}

static void by_affinity(void)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		uint64_t to = mpidr_of(cpus[cpu].affinity);
		forget();
		route(EDGE, to);
		check(read64(GICD + GICD_IROUTER + 8 * EDGE) == to, "GICD_IROUTER keeps %a", cpus[cpu].affinity);
		set_bit(0, GICD_ISPENDR, EDGE);
		check(only(cpu, EDGE, 1), "an SPI for it goes to CPU %u", cpu);
	}
}

static void moved(void)
{
	unsigned last = cpu_count - 1;
	forget();
	set_bit(0, GICD_ICENABLER, EDGE);
	route(EDGE, mpidr_of(cpus[last].affinity));
	set_bit(0, GICD_ISPENDR, EDGE);
	wait(200);
	check(!taken_by_all(EDGE) && bit_of(0, GICD_ISPENDR, EDGE), "an SPI that is disabled stays pending");
	route(EDGE, mpidr_of(cpus[0].affinity));
	set_bit(0, GICD_ISENABLER, EDGE);
	check(only(0, EDGE, 1), "moved meanwhile and enabled, it goes where it now belongs");
	check(!bit_of(0, GICD_ISPENDR, EDGE) && !bit_of(0, GICD_ISACTIVER, EDGE), "and is neither pending nor active");
}

static void for_nobody(void)
{
	forget();
	route(EDGE, mpidr_of(cpus[0].affinity ^ 0x40 << 8));
	set_bit(0, GICD_ISPENDR, EDGE);
	wait(200);
	check(!taken_by_all(EDGE) && bit_of(0, GICD_ISPENDR, EDGE), "an SPI for an affinity of nobody stays pending");
	route(EDGE, mpidr_of(cpus[0].affinity));
	check(only(0, EDGE, 1), "routed to somebody, it is taken");
}

static void one_of_n(void)
{
	if (read32(GICD + GICD_TYPER) & 1 << 25)
		return skip("this GIC has no 1-of-N");
	route(EDGE, ONE_OF_N);
	forget();
	for (unsigned times = 1; times <= 8; times++) {
		set_bit(0, GICD_ISPENDR, EDGE);
		if (!check(EVENTUALLY(taken_by_all(EDGE) == times), "a 1-of-N SPI is taken, time %u", times))
			break;
		while (bit_of(0, GICD_ISACTIVER, EDGE))
			;
	}
	wait(200);
	check(taken_by_all(EDGE) == 8, "each time by one CPU");
}

static void levels(void)
{
	unsigned last = cpu_count - 1;
	forget();
	route(UART_SPI, mpidr_of(cpus[last].affinity));
	set_bit(0, GICD_ISENABLER, UART_SPI);
	write32(UART + UART_IMSC, TX);
	check(only(last, UART_SPI, 1), "the UART's level goes to CPU %u", last);
	check(!bit_of(0, GICD_ISPENDR, UART_SPI), "with its line low again it is not pending");
}

void test(void)
{
	handler = quieten;
	write32(GICD + GICD_ICFGR + EDGE / 16 * 4, 2u << EDGE % 16 * 2);
	set_bit(0, GICD_ISENABLER, EDGE);
	by_affinity();
	moved();
	for_nobody();
	one_of_n();
	levels();
}
