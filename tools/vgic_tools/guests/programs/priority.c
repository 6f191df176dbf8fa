/* Priorities: what is taken first, what preempts, what ICC_PMR_EL1 lets through, and ICC_RPR_EL1. */

#include "guest.h"

const char *const name = "priority";

enum { LOW = 1, MIDDLE = 2, HIGH = 3 };

static volatile u32 order[8], count, running[8], depth, deepest;
static volatile bool nested;

void handle(u32 cpu, u32 intid) {
    running[count] = SYSREG_READ(ICC_RPR);
    order[count++] = intid;
    depth++;
    deepest = depth > deepest ? depth : deepest;
    if (nested && intid != HIGH && count < 4) {
        send_sgi(intid + 1, cpus[cpu].affinity);
        send_sgi(LOW, cpus[cpu].affinity);
        /* A handler that lets others in keeps what it returns to. */
        u64 elr = SYSREG_READ("elr_el1"), spsr = SYSREG_READ("spsr_el1");
        __asm__ volatile("msr daifclr, #2; isb");
        pause_shortly();
        __asm__ volatile("msr daifset, #2");
        SYSREG_WRITE("elr_el1", elr);
        SYSREG_WRITE("spsr_el1", spsr);
    }
    depth--;
    end_of(intid);
}

static void masked(bool mask) {
    if (mask)
        __asm__ volatile("msr daifset, #2");
    else
        __asm__ volatile("msr daifclr, #2; isb");
}

static void begin_anew(void) { count = depth = deepest = 0; }

static void priorities(void) {
    u64 self = cpus[me()].affinity;
    set_priority(me(), LOW, 0xC0);
    set_priority(me(), MIDDLE, 0xA0);
    set_priority(me(), HIGH, 0x40);

    masked(true);
    begin_anew();
    send_sgi(LOW, self);
    send_sgi(HIGH, self);
    send_sgi(MIDDLE, self);
    pause_shortly();
    check(SYSREG_READ(ICC_HPPIR1) == HIGH, "ICC_HPPIR1_EL1 shows the highest priority");
    masked(false);
    check(wait_for(&count, 3), "all three are taken");
    check(order[0] == HIGH && order[1] == MIDDLE && order[2] == LOW, "the highest priority is taken first");
    check(running[0] == 0x40 && running[1] == 0xA0 && running[2] == 0xC0, "ICC_RPR_EL1 shows what runs");
    check(SYSREG_READ(ICC_RPR) == 0xFF, "ICC_RPR_EL1 is idle afterwards");
    check(deepest == 1, "a handler that masks interrupts is not preempted");

    begin_anew();
    nested = true;
    send_sgi(LOW, self);
    check(wait_for(&count, 3), "higher priorities preempt");
    nested = false;
    check(order[0] == LOW && order[1] == MIDDLE && order[2] == HIGH, "in the order in which they were sent");
    check(deepest == 3, "each within the other");
    pause_shortly();
    check(count == 4 && order[3] == LOW, "the same priority does not preempt, and waits");

    begin_anew();
    SYSREG_WRITE(ICC_PMR, 0xA0);
    send_sgi(LOW, self);
    send_sgi(MIDDLE, self);
    send_sgi(HIGH, self);
    pause_shortly();
    check(count == 1 && order[0] == HIGH, "only what is higher than ICC_PMR_EL1 is taken");
    SYSREG_WRITE(ICC_PMR, 0xF8);
    check(wait_for(&count, 3), "and the rest when that allows it");
}

void test(void) {
    for (u32 cpu = 0; cpu < cpu_count; cpu++) {
        on(cpu, priorities);
        say("CPU %u: order, preemption and masking are right", cpu);
    }
}
