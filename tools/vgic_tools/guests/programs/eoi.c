/* Priority drop and deactivation: together, apart (EOImode), and from another CPU. */

#include "guest.h"

const char *const name = "eoi";

enum { SPI = 41, EOI_MODE = 2 };

static volatile u32 taker;

void handle(u32 cpu, u32 intid) {
    taker = cpu;
    end_of(intid);
}

static void apart(void) { SYSREG_WRITE(ICC_CTLR, EOI_MODE); }
static void together(void) { SYSREG_WRITE(ICC_CTLR, 0); }
static void deactivate(void) { SYSREG_WRITE(ICC_DIR, SPI); }

void test(void) {
    set_edge(SPI, true);
    set_priority(0, SPI, 0xA0);
    set_bit(0, ISENABLER, SPI);
    for (u32 cpu = 0; cpu < cpu_count; cpu++) {
        u32 other = (cpu + 1) % cpu_count;
        volatile u32 *taken = &cpus[cpu].taken[SPI];
        forget();
        store64(GICD + IROUTER + 8 * SPI, cpus[cpu].affinity);

        on(cpu, together);
        set_bit(0, ISPENDR, SPI);
        check(wait_for(taken, 1), "it is taken");
        pause_shortly();
        check(!is_set(0, ISACTIVER, SPI), "without EOImode ICC_EOIR1_EL1 deactivates");

        on(cpu, apart);
        on(other, apart);
        set_bit(0, ISPENDR, SPI);
        check(wait_for(taken, 2), "it is taken again");
        pause_shortly();
        check(is_set(0, ISACTIVER, SPI), "with EOImode it stays active after ICC_EOIR1_EL1");
        set_bit(0, ISPENDR, SPI);
        pause_shortly();
        check(*taken == 2 && is_set(0, ISPENDR, SPI), "what is active is not taken, and not lost");
        on(other, deactivate);
        check(wait_for(taken, 3), "ICC_DIR_EL1 of another CPU deactivates it");
        on(cpu, deactivate);
        check(!is_set(0, ISACTIVER, SPI), "and so does its own");
        on(cpu, together);
        on(other, together);
        say("CPU %u: deactivated at once, by CPU %u, and by itself", cpu, other);
    }
}
