/* LPIs: an ITS with its tables in RAM, interrupts mapped, moved, disabled, cleared and discarded. */
#include "guest.h"

const char name[] = "lpis";

enum {
	GITS_CTLR = 0x0, GITS_TYPER = 0x8, GITS_CBASER = 0x80, GITS_CWRITER = 0x88, GITS_CREADR = 0x90,
	GITS_BASER = 0x100,
	BLOCK = 0x10000, ID_BITS = 14,
	MOVI = 0x1, INT = 0x3, CLEAR = 0x4, SYNC = 0x5, MAPD = 0x8, MAPC = 0x9, MAPTI = 0xa, INV = 0xc, INVALL = 0xd,
	MOVALL = 0xe, DISCARD = 0xf,
	DEVICE = 5, LPI = FIRST_LPI + 7,
	PRIORITY = 0xa0, ENABLED = 1,
};

/* Blocks of RAM beyond the program, which are zero. */
static volatile uint8_t *block(unsigned number) { return (volatile uint8_t *)(0x40400000ull + number * BLOCK); }
#define queue block(0)
#define entries block(1)
#define properties block(2)
#define tables(number) block(8 + (number))
#define pending(cpu) block(16 + (cpu))

static uint64_t written;

static bool four_words(uint64_t first, uint64_t second, uint64_t third, uint64_t fourth)
{
	volatile uint64_t *slot = (volatile uint64_t *)(queue + written);
	slot[0] = first;
	slot[1] = second;
	slot[2] = third;
	slot[3] = fourth;
	written = (written + 32) % BLOCK;
	asm volatile("dsb sy" : : : "memory");
	write64(GITS + GITS_CWRITER, written);
	return EVENTUALLY((read64(GITS + GITS_CREADR) & ~1ull) == written);
}

static bool command(uint64_t first, uint64_t second, uint64_t third)
{
	return four_words(first, second, third, 0);
}

/* What a collection's CPU is called: the address of its Redistributor, or the processor number of GICR_TYPER. */
static uint64_t target(unsigned cpu)
{
	if (read64(GITS + GITS_TYPER) >> 19 & 1)
		return cpus[cpu].redistributor;
	return (read64(cpus[cpu].redistributor + GICR_TYPER) >> 8 & 0xffff) << 16;
}

static bool synchronised(unsigned cpu) { return command(SYNC, 0, target(cpu)); }
static bool of_event(unsigned kind, unsigned event) { return command((uint64_t)DEVICE << 32 | kind, event, 0); }
static bool changed(unsigned event, unsigned cpu) { return of_event(INV, event) && synchronised(cpu); }

static void set_up(void)
{
	for (unsigned i = 0; i < 8; i++) {
		uint64_t baser = read64(GITS + GITS_BASER + 8 * i);
		if (baser >> 56 & 7) /* a table, of one page of 64 KiB */
			write64(GITS + GITS_BASER + 8 * i,
				1ull << 63 | (baser & 7ull << 56) | (uint64_t)tables(i) | 2 << 8);
	}
	write64(GITS + GITS_CBASER, 1ull << 63 | (uint64_t)queue | (BLOCK / 4096 - 1));
	write64(GITS + GITS_CWRITER, 0);
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		write64(cpus[cpu].redistributor + GICR_PROPBASER, (uint64_t)properties | (ID_BITS - 1));
		write64(cpus[cpu].redistributor + GICR_PENDBASER, 1ull << 62 | (uint64_t)pending(cpu));
		write32(cpus[cpu].redistributor + GICR_CTLR, 1);
	}
	write32(GITS + GITS_CTLR, 1);
	bool done = true;
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		done &= command(MAPC, 0, 1ull << 63 | target(cpu) | cpu) && synchronised(cpu);
	done &= command((uint64_t)DEVICE << 32 | MAPD, 4, 1ull << 63 | (uint64_t)entries);
	check(done, "the ITS does the commands that map %u collections and a device", cpu_count);
}

static bool only(unsigned cpu, unsigned intid, unsigned times)
{
	bool arrives = EVENTUALLY(taken(cpu, intid) == times);
	wait(200);
	return arrives && taken(cpu, intid) == times && !taken_by_others(cpu, intid);
}

static void to_each(void)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		unsigned event = cpu % 16, intid = FIRST_LPI + cpu;
		forget();
		properties[cpu] = PRIORITY | ENABLED;
		command((uint64_t)DEVICE << 32 | MAPTI, (uint64_t)intid << 32 | event, cpu);
		changed(event, cpu);
		of_event(INT, event);
		check(only(cpu, intid, 1), "LPI %u of event %u goes to CPU %u", intid, event, cpu);
		of_event(DISCARD, event);
		of_event(INT, event);
		check(only(cpu, intid, 1), "its event discarded, it does not come again");
	}
}

static void moved(void)
{
	unsigned last = cpu_count - 1;
	forget();
	properties[LPI - FIRST_LPI] = PRIORITY;
	command((uint64_t)DEVICE << 32 | MAPTI, (uint64_t)LPI << 32 | 3, 0);
	changed(3, 0);
	of_event(INT, 3);
	wait(200);
	check(!taken_by_all(LPI), "an LPI that is disabled is not taken");
	command((uint64_t)DEVICE << 32 | MOVI, 3, last);
	synchronised(last);
	properties[LPI - FIRST_LPI] = PRIORITY | ENABLED;
	changed(3, last);
	check(only(last, LPI, 1), "pending, moved and then enabled, it goes to CPU %u", last);
	forget();
	command((uint64_t)DEVICE << 32 | MOVI, 3, 0);
	of_event(INT, 3);
	check(only(0, LPI, 1), "moved again, it goes to CPU 0");
}

static void cleared(void)
{
	forget();
	properties[LPI - FIRST_LPI] = PRIORITY;
	changed(3, 0);
	of_event(INT, 3);
	of_event(CLEAR, 3);
	properties[LPI - FIRST_LPI] = PRIORITY | ENABLED;
	changed(3, 0);
	wait(200);
	check(!taken_by_all(LPI), "an LPI that was cleared while it was disabled is not taken");
}

static void all_moved(void)
{
	unsigned last = cpu_count - 1;
	if (!last)
		return skip("there is one CPU only");
	forget();
	properties[LPI - FIRST_LPI] = PRIORITY;
	changed(3, 0);
	of_event(INT, 3);
	four_words(MOVALL, 0, target(0), target(last));
	command(MAPC, 0, 1ull << 63 | target(last) | 0);
	properties[LPI - FIRST_LPI] = PRIORITY | ENABLED;
	command(INVALL, 0, 0);
	synchronised(last);
	check(only(last, LPI, 1), "MOVALL takes an LPI that is pending to CPU %u", last);
}

static volatile unsigned order[4], ordered;

static void note(unsigned intid) { order[ordered++ % 4] = intid; }

static void by_priority(void)
{
	ordered = 0;
	handler = note;
	for (unsigned i = 0; i < 2; i++) {
		properties[20 + i] = (i ? 0x40 : PRIORITY) | ENABLED;
		command((uint64_t)DEVICE << 32 | MAPTI, (uint64_t)(FIRST_LPI + 20 + i) << 32 | (8 + i), me());
		changed(8 + i, me());
	}
	mask();
	of_event(INT, 8);
	of_event(INT, 9);
	unmask();
	EVENTUALLY(ordered == 2);
	check(ordered == 2 && order[0] == FIRST_LPI + 21, "LPIs that are pending together are taken by priority");
	handler = 0;
}

void test(void)
{
	if (!(read32(GICD + GICD_TYPER) & 1 << 17))
		return skip("this GIC has no LPIs");
	set_up();
	to_each();
	by_priority();
	moved();
	cleared();
	all_moved();
}
