/* What guest.h declares. */
#include <stdarg.h>

#include "guest.h"

struct cpu cpus[MOST_CPUS];
unsigned cpu_count;
void (*volatile handler)(unsigned intid);

extern void enter(void);

static unsigned failures;
static void (*volatile posted[MOST_CPUS])(void);
static volatile bool attends[MOST_CPUS];

enum { KINDS = 1100 }; /* INTIDs that are counted: those below 1020, and some LPIs */
static volatile uint32_t counts[MOST_CPUS][KINDS];

/* The compiler asks for these. */
void *memset(void *to, int value, unsigned long size)
{
	for (unsigned long i = 0; i < size; i++)
		((volatile char *)to)[i] = value;
	return to;
}

static void put(char c) { write32(UART, (uint8_t)c); }

static void number(uint64_t value, unsigned base)
{
	char text[24];
	int length = 0;
	do
		text[length++] = "0123456789abcdef"[value % base];
	while (value /= base);
	while (length)
		put(text[--length]);
}

/* A packed affinity as people write it: Aff3.Aff2.Aff1.Aff0. */
static void dotted(uint32_t affinity)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		number(affinity >> shift & 0xff, 10);
		if (shift)
			put('.');
	}
}

static void say_list(const char *format, va_list list)
{
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		switch (*++format) {
		case 'u':
			number(va_arg(list, unsigned), 10);
			break;
		case 'x':
			number(va_arg(list, uint64_t), 16);
			break;
		case 'a':
			dotted(va_arg(list, uint32_t));
			break;
		case 's':
			for (const char *text = va_arg(list, const char *); *text; text++)
				put(*text);
		}
	}
	put('\n');
}

void say(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	say_list(format, list);
	va_end(list);
}

bool check(bool holds, const char *format, ...)
{
	va_list list;
	for (const char *mark = holds ? "ok    " : "WRONG "; *mark; mark++)
		put(*mark);
	va_start(list, format);
	say_list(format, list);
	va_end(list);
	failures += !holds;
	return holds;
}

void skip(const char *why) { say("skip  %s", why); }

int64_t psci(uint32_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 asm("x0") = function;
	register uint64_t x1 asm("x1") = a;
	register uint64_t x2 asm("x2") = b;
	register uint64_t x3 asm("x3") = c;
	asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return x0;
}

static void finish(void)
{
	say(failures ? "FAIL %s" : "PASS %s", name);
	psci(SYSTEM_OFF, 0, 0, 0);
}

void unexpected(uint64_t esr, uint64_t elr, uint64_t far)
{
	check(false, "an exception that nobody expects: ESR %x, ELR %x, FAR %x", esr, elr, far);
	finish();
}

uint64_t mpidr_of(uint32_t affinity) { return (uint64_t)(affinity >> 24) << 32 | (affinity & 0xffffff); }

/* Every Redistributor, in the order of their frames; the number of this CPU. */
unsigned find_cpus(void)
{
	uint64_t mpidr = MRS(mpidr_el1) & 0xff00ffffff, typer, frame = GICR;
	unsigned own = 0;
	do {
		typer = read64(frame + GICR_TYPER);
		cpus[cpu_count] = (struct cpu){ frame, typer >> 32 };
		if (mpidr_of(typer >> 32) == mpidr)
			own = cpu_count;
		frame += typer & 1 << 1 ? 0x40000 : 0x20000; /* of GICv4: with two frames for virtual LPIs */
	} while (!(typer & 1 << 4) && ++cpu_count < MOST_CPUS);
	cpu_count++;
	return own;
}

void cpu_begins(void)
{
	uint64_t base = cpus[me()].redistributor, sgis = base + SGI_BASE;
	write32(base + GICR_WAKER, 0);
	while (read32(base + GICR_WAKER) & 1 << 2)
		;
	write32(sgis + GICD_IGROUPR, ~0u);
	write32(sgis + GICD_ICENABLER, ~0u);
	write32(sgis + GICD_ICPENDR, ~0u);
	write32(sgis + GICD_ICACTIVER, ~0u);
	write32(sgis + GICD_ISENABLER, 0xffff);
	for (unsigned i = 0; i < 32; i += 4)
		write32(sgis + GICD_IPRIORITYR + i, NORMAL * 0x01010101u);
	MSR(ICC_SRE_EL1, MRS(ICC_SRE_EL1) | 1); /* SRE */
	MSR(ICC_PMR_EL1, 0xf0);
	MSR(ICC_BPR1_EL1, 0);
	MSR(ICC_CTLR_EL1, 0);			      /* EOImode is 0 */
	MSR(ICC_IGRPEN1_EL1, 1);
	unmask();
}

void attend(void)
{
	unsigned self = me();
	cpu_begins();
	attends[self] = true;
	for (;;) {
		mask();
		if (!posted[self])
			asm volatile("wfi");
		unmask();
		if (posted[self]) {
			posted[self]();
			posted[self] = 0;
		}
	}
}

int64_t turn_on(unsigned cpu)
{
	attends[cpu] = false;
	posted[cpu] = 0;
	int64_t told = psci(CPU_ON, mpidr_of(cpus[cpu].affinity), (uint64_t)enter, cpu);
	if (told == 0 && !EVENTUALLY(attends[cpu])) {
		check(false, "CPU %u, turned on, enters", cpu);
		finish();
	}
	return told;
}

void post_to(unsigned cpu, void (*function)(void))
{
	posted[cpu] = function;
	send_sgi(cpus[cpu].affinity, CALL);
}

void run_on(unsigned cpu, void (*function)(void))
{
	if (cpu == me())
		return function();
	post_to(cpu, function);
	if (!EVENTUALLY(!posted[cpu])) {
		check(false, "CPU %u does what it is told", cpu);
		finish();
	}
}

void wait(uint64_t microseconds)
{
	uint64_t end = now() + ticks(microseconds);
	while (now() < end)
		;
}

static unsigned kind(unsigned intid) { return intid >= FIRST_LPI ? 1024 + (intid - FIRST_LPI) % 64 : intid; }

void take_interrupt(void)
{
	unsigned intid = MRS(ICC_IAR1_EL1);
	if (kind(intid) < KINDS)
		counts[me()][kind(intid)]++;
	if (intid >= 1020 && intid < FIRST_LPI)
		return;
	if (handler && intid != CALL)
		handler(intid);
	MSR(ICC_EOIR1_EL1, intid);
	if (intid == CALL && MRS(ICC_CTLR_EL1) & EOI_MODE)
		MSR(ICC_DIR_EL1, intid);
}

uint32_t taken(unsigned cpu, unsigned intid) { return counts[cpu][kind(intid)]; }

uint32_t taken_by_all(unsigned intid)
{
	uint32_t sum = 0;
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		sum += taken(cpu, intid);
	return sum;
}

uint32_t taken_by_others(unsigned cpu, unsigned intid) { return taken_by_all(intid) - taken(cpu, intid); }

void forget(void)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		for (unsigned i = 0; i < KINDS; i++)
			counts[cpu][i] = 0;
}

void send_sgis(uint32_t cluster, unsigned range, uint16_t list, unsigned intid)
{
	uint64_t aff1 = cluster >> 8 & 0xff, aff2 = cluster >> 16 & 0xff, aff3 = cluster >> 24;
	uint64_t value = aff3 << 48 | (uint64_t)range << 44 | aff2 << 32 | (uint64_t)intid << 24 | aff1 << 16 | list;
	MSR(ICC_SGI1R_EL1, value);
}

void send_sgi(uint32_t affinity, unsigned intid)
{
	send_sgis(affinity, (affinity & 0xff) / 16, 1 << affinity % 16, intid);
}

bool per_cpu(unsigned intid) { return intid < 32; }

static uint64_t registers_of(unsigned cpu, unsigned intid)
{
	return per_cpu(intid) ? cpus[cpu].redistributor + SGI_BASE : GICD;
}

bool bit_of(unsigned cpu, uint32_t registers, unsigned intid)
{
	return read32(registers_of(cpu, intid) + registers + intid / 32 * 4) >> intid % 32 & 1;
}

void set_bit(unsigned cpu, uint32_t registers, unsigned intid)
{
	write32(registers_of(cpu, intid) + registers + intid / 32 * 4, 1u << intid % 32);
}

void set_priority(unsigned cpu, unsigned intid, uint8_t priority)
{
	write8(registers_of(cpu, intid) + GICD_IPRIORITYR + intid, priority);
}

void route(unsigned intid, uint64_t to) { write64(GICD + GICD_IROUTER + 8 * intid, to); }

void begin(void)
{
	say("%s: %u CPUs", name, cpu_count);
	write32(GICD + GICD_CTLR, 0);
	write32(GICD + GICD_CTLR, 0x13); /* ARE and Group 1 by either view: one Security state, or the Non-secure */
	unsigned lines = (read32(GICD + GICD_TYPER) & 31) + 1;
	for (unsigned i = 1; i < lines; i++) {
		write32(GICD + GICD_IGROUPR + 4 * i, ~0u);
		for (unsigned j = 0; j < 32; j += 4)
			write32(GICD + GICD_IPRIORITYR + 32 * i + j, NORMAL * 0x01010101u);
	}
	cpu_begins();
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		if (cpu != me() && !check(turn_on(cpu) == 0, "CPU %u, of affinity %a, is on", cpu, cpus[cpu].affinity))
			finish();
	test();
	finish();
}
