/* LPIs: an ITS with its tables and its command queue in RAM, events mapped, moved, masked and discarded. */

#include "guest.h"

const char *const name = "lpi";

enum {
    GITS_CTLR = 0x00, GITS_CBASER = 0x80, GITS_CWRITER = 0x88, GITS_CREADR = 0x90, GITS_BASER = 0x100,
    GITS_TYPER = 0x08, GICR_CTLR = 0x00, GICR_TYPER = 0x08, GICR_PROPBASER = 0x70, GICR_PENDBASER = 0x78,
    ID_BITS = 14, DEVICE = 0x20, EVENTS = 4,
};
enum { MOVI = 0x01, INT = 0x03, SYNC = 0x05, MAPD = 0x08, MAPC = 0x09, MAPTI = 0x0A, INV = 0x0C, DISCARD = 0x0F };

static uint8_t properties[1 << ID_BITS] __attribute__((aligned(0x10000)));
static uint8_t pending[MOST_CPUS][0x10000] __attribute__((aligned(0x10000)));
static uint8_t devices[0x10000] __attribute__((aligned(0x10000)));
static uint8_t collections[0x10000] __attribute__((aligned(0x10000)));
static u64 queue[0x1000 / 8] __attribute__((aligned(0x10000)));
static uint8_t table[0x1000] __attribute__((aligned(0x1000)));

void handle(u32 cpu, u32 intid) { (void)cpu, end_of(intid); }

static u64 command_with(u64 first, u64 second, u64 third) {
    u64 writer = load64(GITS + GITS_CWRITER);
    volatile u64 *place = &queue[writer / 8];
    place[0] = first;
    place[1] = second;
    place[2] = third;
    place[3] = 0;
    writer = (writer + 32) % sizeof queue;
    __asm__ volatile("dsb sy" ::: "memory");
    store64(GITS + GITS_CWRITER, writer);
    u64 start = counter();
    while (load64(GITS + GITS_CREADR) != writer && counter() - start < frequency())
        ;
    check(load64(GITS + GITS_CREADR) == writer, "the ITS reads its commands");
    return writer;
}

/* How commands name a CPU's Redistributor: by its address, or by its number. */
static u64 target(u32 cpu) {
    u64 by_address = load64(GITS + GITS_TYPER) >> 19 & 1;
    return by_address ? cpus[cpu].frame : (load64(cpus[cpu].frame + GICR_TYPER) >> 8 & 0xFFFF) << 16;
}

static void set_up(void) {
    for (u32 cpu = 0; cpu < cpu_count; cpu++) {
        store64(cpus[cpu].frame + GICR_PROPBASER, (u64)properties | (ID_BITS - 1));
        store64(cpus[cpu].frame + GICR_PENDBASER, (u64)pending[cpu] | 1UL << 62);
        store(cpus[cpu].frame + GICR_CTLR, 1);
    }
    for (u32 index = 0; index < 8; index++) {
        u32 type = load64(GITS + GITS_BASER + 8 * index) >> 56 & 7;
        u64 place = type == 1 ? (u64)devices : type == 4 ? (u64)collections : 0;
        if (place)
            store64(GITS + GITS_BASER + 8 * index, 1UL << 63 | place | 2 << 8);
    }
    store64(GITS + GITS_CBASER, 1UL << 63 | (u64)queue);
    store64(GITS + GITS_CWRITER, 0);
    store(GITS + GITS_CTLR, 1);
    for (u32 cpu = 0; cpu < cpu_count; cpu++)
        command_with(MAPC, 0, 1UL << 63 | target(cpu) | cpu);
    command_with(MAPD | (u64)DEVICE << 32, EVENTS - 1, 1UL << 63 | (u64)table);
}

static void configure(u32 event, bool enabled) {
    properties[event] = 0xA0 | enabled;
    __asm__ volatile("dsb sy" ::: "memory");
    command_with(INV | (u64)DEVICE << 32, event, 0);
}

static void send(u32 event) { command_with(INT | (u64)DEVICE << 32, event, 0); }

void test(void) {
    if (!(load(GICD + TYPER) >> 17 & 1)) {
        say("GICD_TYPER.LPIS: there are no LPIs here");
        return;
    }
    set_up();
    for (u32 cpu = 0; cpu < cpu_count; cpu++) {
        u32 next = (cpu + 1) % cpu_count, event = cpu, intid = FIRST_LPI + event;
        forget();
        command_with(MAPTI | (u64)DEVICE << 32, (u64)intid << 32 | event, cpu);
        configure(event, true);
        send(event);
        check(wait_for(&cpus[cpu].lpis, 1) && cpus[cpu].last_lpi == intid, "an event arrives as its LPI");

        configure(event, false);
        send(event);
        pause_shortly();
        check(cpus[cpu].lpis == 1, "an LPI that is disabled does not arrive");
        configure(event, true);
        check(wait_for(&cpus[cpu].lpis, 2), "and is not lost");

        u32 before = cpus[next].lpis;
        command_with(MOVI | (u64)DEVICE << 32, event, next);
        command_with(SYNC, 0, target(next));
        send(event);
        check(wait_for(&cpus[next].lpis, before + 1) && cpus[next].last_lpi == intid, "it moves to another CPU");

        u32 all = cpus[next].lpis;
        command_with(DISCARD | (u64)DEVICE << 32, event, 0);
        send(event);
        pause_shortly();
        check(cpus[next].lpis == all, "an event that is discarded does not arrive");
        say("LPI %u arrives at CPU %u, moves to CPU %u, and ends", intid, cpu, next);
    }
}
