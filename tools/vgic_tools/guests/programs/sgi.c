/* Software generated interrupts: to the CPU itself, to each other one, to a list, and to all others. */

#include "guest.h"

const char *const name = "sgi";

enum { SELF = 1, ONE = 2, LIST = 3, OTHERS = 4 };

void handle(u32 cpu, u32 intid) { (void)cpu, end_of(intid); }

static u32 sender;

static void to_everybody_one_by_one(void) {
    for (u32 target = 0; target < cpu_count; target++) {
        u32 before = cpus[target].taken[ONE];
        send_sgi(ONE, cpus[target].affinity);
        if (!wait_for(&cpus[target].taken[ONE], before + 1)) {
            say("  SGI %u from CPU %u does not reach CPU %u", ONE, sender, target);
            check(false, "each CPU reaches each other one");
        }
    }
}

static void to_others(void) { send_sgi_to_others(OTHERS); }

/* All CPUs that differ in Aff0 [3:0] only from this one, in one write. */
static void to_my_list(void) {
    u64 list = 0, affinity = cpus[me()].affinity;
    for (u32 cpu = 0; cpu < cpu_count; cpu++)
        if (cpus[cpu].affinity >> 4 == affinity >> 4)
            list |= 1UL << (cpus[cpu].affinity & 15);
    SYSREG_WRITE(ICC_SGI1R, (affinity >> 32 & 0xFF) << 48 | (affinity >> 4 & 15) << 44 |
                                (affinity >> 16 & 0xFF) << 32 | (u64)LIST << 24 | (affinity >> 8 & 0xFF) << 16 | list);
}

void test(void) {
    send_sgi(SELF, cpus[0].affinity);
    check(wait_for(&cpus[0].taken[SELF], 1), "CPU 0 takes the SGI that it sends to itself");
    for (sender = 0; sender < cpu_count; sender++) {
        forget();
        on(sender, to_everybody_one_by_one);
        pause_shortly();
        for (u32 cpu = 0; cpu < cpu_count; cpu++)
            check(cpus[cpu].taken[ONE] == 1, "an SGI to one CPU is taken once, by that one");
        say("CPU %u reaches each of %u by its affinity", sender, cpu_count);

        on(sender, to_my_list);
        on(sender, to_others);
        for (u32 cpu = 0; cpu < cpu_count; cpu++) {
            bool listed = cpus[cpu].affinity >> 4 == cpus[sender].affinity >> 4;
            if (listed)
                check(wait_for(&cpus[cpu].taken[LIST], 1), "an SGI to a list reaches those on it");
            if (cpu != sender)
                check(wait_for(&cpus[cpu].taken[OTHERS], 1), "an SGI to all others reaches them");
        }
        pause_shortly();
        for (u32 cpu = 0; cpu < cpu_count; cpu++) {
            bool listed = cpus[cpu].affinity >> 4 == cpus[sender].affinity >> 4;
            check(cpus[cpu].taken[LIST] == listed, "an SGI to a list reaches nobody else");
            check(cpus[cpu].taken[OTHERS] == (cpu != sender), "an SGI to all others is not for the sender");
        }
        say("CPU %u reaches those of its range with one write, and all others with another", sender);
    }
}
