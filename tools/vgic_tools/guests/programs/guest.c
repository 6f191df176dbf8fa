/* See guest.h. */

#include "guest.h"

#include <stdarg.h>

enum { WAKER = 0x14, GICR_TYPER = 0x08, SGI_FRAME = 0x10000, FRAMES = 0x20000, CALL = 15, EOI_MODE = 2 };

struct cpu cpus[MOST_CPUS];
u32 cpu_count;

static u32 failures;

void start_secondary(void);

/* Saying. */

static void put(char character) { store(UART, character); }

static void put_number(u64 value, u32 base) {
    char digits[20];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count)
        put(digits[--count]);
}

void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 'u':
            put_number(va_arg(arguments, u32), 10);
            break;
        case 'x':
            put_number(va_arg(arguments, u64), 16);
            break;
        case 's':
            for (const char *text = va_arg(arguments, const char *); *text; text++)
                put(*text);
            break;
        case 'a': {
            u64 affinity = va_arg(arguments, u64);
            put_number(affinity >> 32 & 0xFF, 10);
            for (int shift = 16; shift >= 0; shift -= 8) {
                put('.');
                put_number(affinity >> shift & 0xFF, 10);
            }
        }
        }
    }
    put('\n');
    va_end(arguments);
}

void check(bool right, const char *what) {
    if (!right) {
        failures++;
        say("  wrong: %s", what);
    }
}

static void finish(void) {
    say("%s %s", failures ? "FAIL" : "PASS", name);
    psci(PSCI_SYSTEM_OFF, 0, 0, 0);
}

/* CPUs. */

u32 me(void) { return SYSREG_READ("tpidr_el1"); }

u64 psci(u64 function, u64 first, u64 second, u64 third) {
    register u64 x0 __asm__("x0") = function;
    register u64 x1 __asm__("x1") = first;
    register u64 x2 __asm__("x2") = second;
    register u64 x3 __asm__("x3") = third;
    __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) :: "memory");
    return x0;
}

u64 counter(void) {
    __asm__ volatile("isb");
    return SYSREG_READ("cntvct_el0");
}

u64 frequency(void) { return SYSREG_READ("cntfrq_el0"); }

bool wait_for(volatile u32 *count, u32 least) {
    u64 start = counter();
    while (*count < least)
        if (counter() - start > frequency())
            return false;
    return true;
}

void pause_shortly(void) {
    u64 start = counter();
    while (counter() - start < frequency() / 1000)
        ;
}

void turn_on(u32 cpu) {
    cpus[cpu].ready = false;
    psci(PSCI_CPU_ON, cpus[cpu].affinity, (u64)start_secondary, cpu);
    u64 start = counter();
    while (!cpus[cpu].ready)
        if (counter() - start > frequency()) {
            check(false, "a CPU that is turned on begins");
            finish();
        }
}

void on(u32 cpu, void (*what)(void)) {
    if (cpu == me()) {
        what();
        return;
    }
    cpus[cpu].call = what;
    send_sgi(CALL, cpus[cpu].affinity);
    u64 start = counter();
    while (cpus[cpu].call)
        if (counter() - start > frequency()) {
            say("  CPU %u does not do what it is asked to", cpu);
            check(false, "every CPU answers");
            finish();
        }
}

static void serve(void) {
    struct cpu *self = &cpus[me()];
    for (;;) {
        __asm__ volatile("msr daifset, #2");
        if (!self->call)
            __asm__ volatile("wfi");
        __asm__ volatile("msr daifclr, #2; isb");
        if (self->call) {
            self->call();
            self->call = 0;
        }
    }
}

/* The GIC. */

void set_up_cpu_interface(void) {
    struct cpu *self = &cpus[me()];
    SYSREG_WRITE(ICC_SRE, 7);
    store(self->frame + WAKER, 0);
    while (load(self->frame + WAKER) & 4)
        ;
    store(self->frame + SGI_FRAME + IGROUPR, 0xFFFFFFFF);
    store(self->frame + SGI_FRAME + ISENABLER, 0xFFFF);
    SYSREG_WRITE(ICC_CTLR, 0);
    SYSREG_WRITE(ICC_BPR1, 0);
    SYSREG_WRITE(ICC_PMR, 0xF8);
    SYSREG_WRITE(ICC_IGRPEN1, 1);
}

static u64 registers_of(u32 cpu, u32 intid) {
    return intid < FIRST_SPI ? cpus[cpu].frame + SGI_FRAME : GICD;
}

void set_priority(u32 cpu, u32 intid, u32 priority) {
    *(volatile uint8_t *)(registers_of(cpu, intid) + IPRIORITYR + intid) = priority;
}

void set_bit(u32 cpu, u32 registers, u32 intid) {
    store(registers_of(cpu, intid) + registers + intid / 32 * 4, 1U << intid % 32);
}

bool is_set(u32 cpu, u32 registers, u32 intid) {
    return load(registers_of(cpu, intid) + registers + intid / 32 * 4) >> intid % 32 & 1;
}

void set_edge(u32 intid, bool edge) {
    u64 address = GICD + ICFGR + intid / 16 * 4;
    u32 bit = 2U << intid % 16 * 2;
    store(address, edge ? load(address) | bit : load(address) & ~bit);
}

/* Aff0 [3:0] is a bit of the list, [7:4] the range. */
void send_sgi(u32 intid, u64 affinity) {
    u64 aff0 = affinity & 0xFF;
    SYSREG_WRITE(ICC_SGI1R, (affinity >> 32 & 0xFF) << 48 | aff0 >> 4 << 44 | (affinity >> 16 & 0xFF) << 32 |
                                (u64)intid << 24 | (affinity >> 8 & 0xFF) << 16 | 1UL << (aff0 & 15));
}

void send_sgi_to_others(u32 intid) { SYSREG_WRITE(ICC_SGI1R, 1UL << 40 | (u64)intid << 24); }

void end_of(u32 intid) { SYSREG_WRITE(ICC_EOIR1, intid); }

void forget(void) {
    for (u32 cpu = 0; cpu < cpu_count; cpu++) {
        for (u32 intid = 0; intid < MOST_INTIDS; intid++)
            cpus[cpu].taken[intid] = 0;
        cpus[cpu].lpis = 0;
    }
}

void take_interrupt(void) {
    u32 cpu = me(), intid = SYSREG_READ(ICC_IAR1);
    if (intid == SPURIOUS)
        return;
    if (intid >= FIRST_LPI)
        cpus[cpu].last_lpi = intid;
    if (intid == CALL) {
        end_of(intid);
        if (SYSREG_READ(ICC_CTLR) & EOI_MODE)
            SYSREG_WRITE(ICC_DIR, intid);
        return;
    }
    handle(cpu, intid);
    if (intid >= FIRST_LPI)
        cpus[cpu].lpis++;
    else
        cpus[cpu].taken[intid]++;
}

void take_exception(u64 esr, u64 elr, u64 far) {
    say("  an exception that nobody expects: ESR_EL1 %x, ELR_EL1 %x, FAR_EL1 %x", esr, elr, far);
    failures++;
    finish();
}

static void find_cpus(void) {
    u64 self = SYSREG_READ("mpidr_el1") & 0xFF00FFFFFF, typer;
    u64 frame = GICR;
    u32 others = 1;
    do {
        typer = load64(frame + GICR_TYPER);
        u64 affinity = (typer >> 56) << 32 | (typer >> 32 & 0xFFFFFF);
        u32 cpu = affinity == self ? 0 : others++;
        cpus[cpu].affinity = affinity;
        cpus[cpu].frame = frame;
        cpu_count++;
        frame += FRAMES;
    } while (!(typer >> 4 & 1) && cpu_count < MOST_CPUS);
}

void begin(u32 cpu) {
    if (cpu == 0) {
        find_cpus();
        /* ARE before the groups: what SPIs are routed by must not change while they are forwarded. */
        store(GICD + CTLR, 0x10);
        store(GICD + CTLR, 0x13);
        u32 words = (load(GICD + TYPER) & 31) + 1;
        for (u32 word = 1; word < words; word++)
            store(GICD + IGROUPR + 4 * word, 0xFFFFFFFF);
    }
    set_up_cpu_interface();
    cpus[cpu].ready = true;
    if (cpu)
        serve();
    __asm__ volatile("msr daifclr, #2; isb");
    for (u32 other = 1; other < cpu_count; other++)
        turn_on(other);
    for (u32 each = 0; each < cpu_count; each++)
        say("CPU %u is %a", each, cpus[each].affinity);
    test();
    finish();
}
