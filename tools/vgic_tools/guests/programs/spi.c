/* Shared interrupts: routed to each CPU by its affinity, to any one of them, and a line that is a level. */

#include "guest.h"

const char *const name = "spi";

enum { EDGE = 40, UART_SPI = 33, IMSC = 0x38, TX = 1 << 5, NO_1_OF_N = 1 << 25 };
#define ANY (1UL << 31)

static volatile u32 uart_takes;

void handle(u32 cpu, u32 intid) {
    (void)cpu;
    if (intid == UART_SPI && ++uart_takes == 2)
        store(UART + IMSC, 0);
    end_of(intid);
}

static u32 takers(u32 intid) {
    u32 sum = 0;
    for (u32 cpu = 0; cpu < cpu_count; cpu++)
        sum += cpus[cpu].taken[intid];
    return sum;
}

void test(void) {
    set_edge(EDGE, true);
    set_priority(0, EDGE, 0xA0);
    set_bit(0, ISENABLER, EDGE);
    for (u32 cpu = 0; cpu < cpu_count; cpu++) {
        forget();
        store64(GICD + IROUTER + 8 * EDGE, cpus[cpu].affinity);
        check(load64(GICD + IROUTER + 8 * EDGE) == cpus[cpu].affinity, "GICD_IROUTER keeps an affinity");
        set_bit(0, ISPENDR, EDGE);
        check(wait_for(&cpus[cpu].taken[EDGE], 1), "an SPI reaches the CPU that it is routed to");
        pause_shortly();
        check(takers(EDGE) == 1, "an edge is taken once, by one CPU");
        say("SPI %u, routed to %a, is taken by CPU %u", EDGE, cpus[cpu].affinity, cpu);
    }

    /* Nobody has this affinity: it waits, and is not lost. */
    forget();
    store64(GICD + IROUTER + 8 * EDGE, 0x0000FE00FEUL);
    set_bit(0, ISPENDR, EDGE);
    pause_shortly();
    check(takers(EDGE) == 0 && is_set(0, ISPENDR, EDGE), "an SPI for nobody stays pending");
    store64(GICD + IROUTER + 8 * EDGE, cpus[cpu_count - 1].affinity);
    check(wait_for(&cpus[cpu_count - 1].taken[EDGE], 1), "it is taken when its route names a CPU");
    say("SPI %u waits while its route names nobody", EDGE);

    if (load(GICD + TYPER) & NO_1_OF_N) {
        say("GICD_TYPER.No1N: no SPI goes to any one of several CPUs here");
    } else {
        forget();
        store64(GICD + IROUTER + 8 * EDGE, ANY);
        for (u32 round = 1; round <= 8; round++) {
            set_bit(0, ISPENDR, EDGE);
            pause_shortly();
            check(takers(EDGE) == round, "exactly one CPU takes an SPI for any of them");
        }
        say("SPI %u is taken once by one CPU, eight times", EDGE);
    }

    store64(GICD + IROUTER + 8 * UART_SPI, cpus[cpu_count - 1].affinity);
    set_edge(UART_SPI, false);
    set_priority(0, UART_SPI, 0xA0);
    set_bit(0, ISENABLER, UART_SPI);
    store(UART + IMSC, TX);
    say("the UART asks for characters");
    check(wait_for(&uart_takes, 2), "a level that stays high is taken again");
    pause_shortly();
    check(uart_takes == 2, "a level that is low again is not");
    say("SPI %u, a level, is taken until its line is low", UART_SPI);
}
