/* CPUs that are turned off and on again, and what waits for them meanwhile. */

#include "guest.h"

const char *const name = "power";

enum { SGI = 5, SPI = 42 };

void handle(u32 cpu, u32 intid) { (void)cpu, end_of(intid); }

static void turn_myself_off(void) {
    u32 cpu = me();
    cpus[cpu].call = 0;
    SYSREG_WRITE(ICC_IGRPEN1, 0);
    psci(PSCI_CPU_OFF, 0, 0, 0);
}

void test(void) {
    set_edge(SPI, true);
    set_priority(0, SPI, 0xA0);
    set_bit(0, ISENABLER, SPI);
    if (cpu_count == 1)
        say("there is no CPU that could be turned off");
    for (u32 cpu = 1; cpu < cpu_count; cpu++) {
        forget();
        check(psci(PSCI_AFFINITY_INFO, cpus[cpu].affinity, 0, 0) == 0, "a CPU is on at first");
        check((int64_t)psci(PSCI_CPU_ON, cpus[cpu].affinity, 0, 0) == -4, "it cannot be turned on twice");
        on(cpu, turn_myself_off);
        u64 start = counter();
        while (psci(PSCI_AFFINITY_INFO, cpus[cpu].affinity, 0, 0) != 1 && counter() - start < frequency())
            ;
        check(psci(PSCI_AFFINITY_INFO, cpus[cpu].affinity, 0, 0) == 1, "a CPU turns itself off");

        store64(GICD + IROUTER + 8 * SPI, cpus[cpu].affinity);
        set_bit(0, ISPENDR, SPI);
        send_sgi(SGI, cpus[cpu].affinity);
        pause_shortly();
        check(!cpus[cpu].taken[SPI] && !cpus[cpu].taken[SGI], "a CPU that is off takes nothing");

        turn_on(cpu);
        check(wait_for(&cpus[cpu].taken[SPI], 1), "it takes the SPI that waited for it when it is on again");
        check(wait_for(&cpus[cpu].taken[SGI], 1), "and the SGI");
        say("CPU %u was off and is on again, and has lost nothing", cpu);
    }
}
