/* The virtual and the physical timer of every CPU: PPIs 27 and 30, whose lines are levels. */

#include "guest.h"

const char *const name = "timer";

enum { VIRTUAL = 27, PHYSICAL = 30, TICKS = 3 };

static void set_virtual(bool run) {
    SYSREG_WRITE("cntv_cval_el0", SYSREG_READ("cntvct_el0") + frequency() / 2000);
    SYSREG_WRITE("cntv_ctl_el0", run);
}

static void set_physical(bool run) {
    SYSREG_WRITE("cntp_cval_el0", SYSREG_READ("cntpct_el0") + frequency() / 2000);
    SYSREG_WRITE("cntp_ctl_el0", run);
}

void handle(u32 cpu, u32 intid) {
    bool again = cpus[cpu].taken[intid] + 1 < TICKS;
    if (intid == VIRTUAL)
        set_virtual(again);
    if (intid == PHYSICAL)
        set_physical(again);
    end_of(intid);
}

static void tick(void) {
    u32 cpu = me();
    set_bit(cpu, ISENABLER, VIRTUAL);
    set_bit(cpu, ISENABLER, PHYSICAL);
    set_virtual(true);
    check(wait_for(&cpus[cpu].taken[VIRTUAL], TICKS), "the virtual timer ticks");
    set_physical(true);
    check(wait_for(&cpus[cpu].taken[PHYSICAL], TICKS), "the physical timer ticks");
    pause_shortly();
    check(cpus[cpu].taken[VIRTUAL] == TICKS && cpus[cpu].taken[PHYSICAL] == TICKS, "a timer that is off is silent");
}

void test(void) {
    for (u32 cpu = 0; cpu < cpu_count; cpu++) {
        on(cpu, tick);
        say("CPU %u: %u ticks of its virtual and %u of its physical timer", cpu, cpus[cpu].taken[VIRTUAL],
            cpus[cpu].taken[PHYSICAL]);
        for (u32 other = cpu + 1; other < cpu_count; other++)
            check(!cpus[other].taken[VIRTUAL], "a timer is its own CPU's");
    }
}
