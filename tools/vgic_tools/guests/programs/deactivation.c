/* Ends of interrupts: ICC_CTLR_EL1.EOImode, ICC_DIR_EL1 from this CPU and from another, and active interrupts. */
#include "guest.h"

const char name[] = "deactivation";

enum { SGI = 1, OTHER = 2, SPI = 40, IDLE = 0xff };

static volatile bool active_inside;
static volatile unsigned deactivated;

static void look(unsigned intid) { active_inside = bit_of(me(), GICD_ISACTIVER, intid); }
static void split(void) { MSR(ICC_CTLR_EL1, EOI_MODE); }
static void whole(void) { MSR(ICC_CTLR_EL1, 0); }
static void deactivate(void) { MSR(ICC_DIR_EL1, deactivated); }

static void at_once(void)
{
	forget();
	send_sgi(cpus[me()].affinity, SGI);
	check(EVENTUALLY(taken(me(), SGI) == 1) && active_inside, "an interrupt is active while it is handled");
	check(!bit_of(me(), GICD_ISACTIVER, SGI), "with EOImode 0, ICC_EOIR1_EL1 deactivates it");
}

static void in_two_steps(void)
{
	forget();
	split();
	send_sgi(cpus[me()].affinity, SGI);
	check(EVENTUALLY(taken(me(), SGI) == 1) && bit_of(me(), GICD_ISACTIVER, SGI),
	      "with EOImode 1, ICC_EOIR1_EL1 leaves it active");
	check(MRS(ICC_RPR_EL1) == IDLE, "but drops the running priority");
	send_sgi(cpus[me()].affinity, OTHER);
	check(EVENTUALLY(taken(me(), OTHER) == 1), "another interrupt of the same priority is taken meanwhile");
	send_sgi(cpus[me()].affinity, SGI);
	wait(200);
	check(taken(me(), SGI) == 1 && bit_of(me(), GICD_ISPENDR, SGI), "itself, pending again, waits");
	deactivated = SGI;
	deactivate();
	check(EVENTUALLY(taken(me(), SGI) == 2), "ICC_DIR_EL1 lets it come again");
	deactivate();
	deactivated = OTHER;
	deactivate();
	check(!bit_of(me(), GICD_ISACTIVER, SGI) && !bit_of(me(), GICD_ISACTIVER, OTHER), "and ends it");
	whole();
}

static void from_another(void)
{
	unsigned last = cpu_count - 1;
	if (!last)
		return skip("there is one CPU only");
	forget();
	run_on(last, split);
	route(SPI, mpidr_of(cpus[last].affinity));
	set_bit(0, GICD_ISPENDR, SPI);
	check(EVENTUALLY(taken(last, SPI) == 1) && bit_of(0, GICD_ISACTIVER, SPI), "CPU %u takes an SPI", last);
	set_bit(0, GICD_ISPENDR, SPI);
	wait(200);
	check(taken(last, SPI) == 1, "active there, the SPI is not taken again");
	split();
	deactivated = SPI;
	deactivate();
	check(EVENTUALLY(taken(last, SPI) == 2), "ICC_DIR_EL1 of CPU %u lets it come again", me());
	run_on(last, deactivate);
	check(!bit_of(0, GICD_ISACTIVER, SPI), "ICC_DIR_EL1 of CPU %u ends it", last);
	whole();
	run_on(last, whole);
}

static void by_registers(void)
{
	forget();
	set_bit(0, GICD_ISACTIVER, SPI);
	route(SPI, mpidr_of(cpus[0].affinity));
	set_bit(0, GICD_ISPENDR, SPI);
	wait(200);
	check(!taken_by_all(SPI), "an SPI that GICD_ISACTIVER made active is not taken");
	set_bit(0, GICD_ICACTIVER, SPI);
	check(EVENTUALLY(taken(0, SPI) == 1), "GICD_ICACTIVER lets it come");
}

void test(void)
{
	handler = look;
	write32(GICD + GICD_ICFGR + SPI / 16 * 4, 2u << SPI % 16 * 2);
	set_bit(0, GICD_ISENABLER, SPI);
	at_once();
	in_two_steps();
	from_another();
	by_registers();
}
