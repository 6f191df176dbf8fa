/*
 * A small GICv3 in C: what the operations of a recorded boot cost where nothing stands between them and the machine.
 *
 * The reduced machine has a Distributor, Redistributors and CPU interfaces with both groups of one Security state,
 * priorities, preemption, SGIs and input lines, as QEMU 7.2 chooses where the architecture leaves a choice. It has no
 * LPIs, no 1-of-N routing and no sleep, and tells nobody of illegal accesses or of its outputs. What identification
 * registers read, it is told.
 *
 * Each PE remembers the best of its forwarded interrupts and looks at all of them only when it has lost that one.
 * The registers are in replay.c, which is what is compiled; see c_yardstick.py.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum { READ, WRITE, SYSREG_READ, SYSREG_WRITE, LINE, NOTHING };

typedef struct {
    u8 kind, size;
    u16 reserved;
    u32 cpu;
    u64 where; /* An address, the encoding of a system register, or an INTID. */
    u64 value;
} operation;

#define INTIDS 1024
#define WORDS (INTIDS / 32)
#define FRAME 0x10000
#define REDISTRIBUTOR (2 * FRAME)
#define REGIONS 4
#define SPURIOUS 1023
#define FIRST_LPI 8192
#define IDLE 0xFF
#define NOWHERE UINT32_MAX
#define NO_KEY ((u64)IDLE << 24) /* An interrupt of the idle priority is never offered. */
#define GROUP1_BIT 2

#define FOR_EACH_BIT(n, bits) for (u32 n, left_ = (bits); left_ && (n = __builtin_ctz(left_), 1); left_ &= left_ - 1)

typedef struct {
    u32 group1, enabled, latch, line, active, edge;
    u32 forwarded; /* Pending, enabled, inactive, and of a group that the Distributor forwards. */
} word;

typedef struct {
    word bits;
    u8 priority[32];
    u32 affinity;
    u64 typer, propbaser, pendbaser;
    u32 ctlr, asleep;
    u64 best; /* Priority << 24 | INTID. */
    u32 pmr, bpr[2], cbpr, eoi_mode, enabled[2], running[2], touched, stale, irq, fiq;
} pe;

typedef struct {
    u32 cpus, spis, priority_bits, regions;
    u64 gicd_base, region_base[REGIONS];
    u32 region_first[REGIONS], region_count[REGIONS];
    u32 control, hash_mask, touched_count;
    word bits[WORDS]; /* Of SPIs; word 0 is not used. */
    u8 priority[INTIDS];
    u64 route[INTIDS];
    u32 target[INTIDS];
    u32 gicd_id[FRAME / 4], gicr_id[FRAME / 4]; /* What identification registers read. */
    u32 *hash, *touched; /* Affinity to PE; the PEs to settle. */
    pe *pes;
} machine;

/* Affinities. */

static u32 slot_of(const machine *m, u32 affinity) { return (affinity * 2654435761u >> 7) & m->hash_mask; }

static u32 find(const machine *m, u32 affinity) {
    for (u32 slot = slot_of(m, affinity);; slot = (slot + 1) & m->hash_mask) {
        u32 cpu = m->hash[slot];
        if (cpu == NOWHERE || m->pes[cpu].affinity == affinity) return cpu;
    }
}

/* Choosing: which interrupt a PE is offered, and whether it is signalled. */

static u32 group_mask(const pe *p, u32 group) {
    return 0xFF << (group && !p->cbpr ? p->bpr[1] : p->bpr[0] + 1) & 0xFF;
}

static u32 running_priority(const machine *m, const pe *p) {
    u32 running = p->running[0] | p->running[1];
    return running ? __builtin_ctz(running) << (8 - m->priority_bits) : IDLE;
}

static u32 group_of(const machine *m, const pe *p, u32 intid) {
    return (intid < 32 ? p->bits.group1 : m->bits[intid / 32].group1) >> intid % 32 & 1;
}

static int can_preempt(const machine *m, const pe *p) {
    if (p->best == NO_KEY) return 0;
    u32 group = group_of(m, p, p->best & 0xFFFFFF), priority = p->best >> 24;
    if (!p->enabled[group] || priority >= p->pmr) return 0;
    u32 running = running_priority(m, p), mask = group_mask(p, group);
    return running == IDLE || (priority & mask) < (running & mask);
}

static void look_at_all(const machine *m, pe *p, u32 cpu) {
    u64 best = NO_KEY;
    FOR_EACH_BIT(n, p->bits.forwarded) {
        u64 key = (u64)p->priority[n] << 24 | n;
        if (key < best) best = key;
    }
    for (u32 w = 1; w <= m->spis / 32; w++)
        FOR_EACH_BIT(n, m->bits[w].forwarded) {
            u32 intid = 32 * w + n;
            u64 key = (u64)m->priority[intid] << 24 | intid;
            if (m->target[intid] == cpu && key < best) best = key;
        }
    p->best = best;
}

static void touch(machine *m, u32 cpu) {
    if (!m->pes[cpu].touched) {
        m->pes[cpu].touched = 1;
        m->touched[m->touched_count++] = cpu;
    }
}

static void settle(machine *m) {
    for (u32 n = 0; n < m->touched_count; n++) {
        pe *p = &m->pes[m->touched[n]];
        if (p->stale) look_at_all(m, p, m->touched[n]);
        int signalled = can_preempt(m, p);
        u32 group = signalled ? group_of(m, p, p->best & 0xFFFFFF) : 0;
        p->irq = signalled && group;
        p->fiq = signalled && !group;
        p->touched = p->stale = 0;
    }
    m->touched_count = 0;
}

static void settle_one(machine *m, u32 cpu) {
    touch(m, cpu);
    settle(m);
}

/* Interrupt state. A word is of PE `cpu`, or of SPIs where that is NOWHERE. */

static word *word_of(machine *m, u32 cpu, u32 w) { return cpu == NOWHERE ? &m->bits[w] : &m->pes[cpu].bits; }
static u8 *priorities(machine *m, u32 cpu) { return cpu == NOWHERE ? m->priority : m->pes[cpu].priority; }
static u32 pending(const word *b) { return b->latch | (b->line & ~b->edge); }

static void change(machine *m, u32 cpu, u32 w, u32 changed, u32 wanted) {
    FOR_EACH_BIT(n, changed) {
        u32 intid = 32 * w + n, target = cpu == NOWHERE ? m->target[intid] : cpu;
        if (target == NOWHERE) continue;
        pe *p = &m->pes[target];
        u64 key = (u64)priorities(m, cpu)[intid] << 24 | intid;
        if (!(wanted >> n & 1)) p->stale |= key == p->best;
        else if (key < p->best) p->best = key;
        touch(m, target);
    }
}

static void collect(machine *m, u32 cpu, u32 w) {
    word *b = word_of(m, cpu, w);
    u32 groups = (m->control & GROUP1_BIT ? b->group1 : 0) | (m->control & 1 ? ~b->group1 : 0);
    u32 wanted = pending(b) & b->enabled & ~b->active & groups, changed = wanted ^ b->forwarded;
    b->forwarded = wanted;
    change(m, cpu, w, changed, wanted);
}

static void update(machine *m, u32 cpu, u32 w) {
    collect(m, cpu, w);
    settle(m);
}

/* Before the group, priority or route of interrupts changes: `update` forwards them again. */
static void withdraw(machine *m, u32 cpu, u32 w, u32 mask) {
    word *b = word_of(m, cpu, w);
    u32 gone = b->forwarded & mask;
    b->forwarded &= ~gone;
    change(m, cpu, w, gone, 0);
    for (u32 n = 0; n < m->touched_count; n++) /* The key that it had means nothing from here on. */
        if (m->pes[m->touched[n]].stale) look_at_all(m, &m->pes[m->touched[n]], m->touched[n]);
}

static void set_priority(machine *m, u32 cpu, u32 intid, u32 priority) {
    withdraw(m, cpu, intid / 32, 1u << intid % 32);
    priorities(m, cpu)[intid] = priority;
    update(m, cpu, intid / 32);
}

static void set_line(machine *m, u32 cpu, u32 intid, u32 level) {
    if (intid >= 32) cpu = NOWHERE;
    word *b = word_of(m, cpu, intid / 32);
    u32 bit = 1u << intid % 32;
    if (!(b->line & bit) == !level) return;
    b->line ^= bit;
    if (level && b->edge & bit) b->latch |= bit;
    update(m, cpu, intid / 32);
}

static void set_control(machine *m, u32 value) {
    m->control = value & 3;
    for (u32 w = 1; w <= m->spis / 32; w++) collect(m, NOWHERE, w);
    for (u32 cpu = 0; cpu < m->cpus; cpu++) {
        collect(m, cpu, 0);
        touch(m, cpu);
    }
    settle(m);
}

/* The life of an interrupt. */

static u32 acknowledge(machine *m, u32 cpu, u32 group) {
    pe *p = &m->pes[cpu];
    if (!can_preempt(m, p)) return SPURIOUS;
    u32 intid = p->best & 0xFFFFFF;
    if (group_of(m, p, intid) != group) return SPURIOUS;
    p->running[group] |= 1u << ((p->best >> 24 & group_mask(p, group)) >> (8 - m->priority_bits));
    word *b = word_of(m, intid < 32 ? cpu : NOWHERE, intid / 32);
    b->active |= 1u << intid % 32;
    b->latch &= ~(1u << intid % 32);
    touch(m, cpu);
    update(m, intid < 32 ? cpu : NOWHERE, intid / 32);
    return intid;
}

static void deactivate(machine *m, u32 cpu, u32 intid) {
    if (intid >= 32) cpu = NOWHERE;
    word_of(m, cpu, intid / 32)->active &= ~(1u << intid % 32);
    update(m, cpu, intid / 32);
}

static void end(machine *m, u32 cpu, u32 group, u32 intid) {
    pe *p = &m->pes[cpu];
    u32 mine = p->running[group], other = p->running[!group];
    if ((intid >= 32 + m->spis && intid < FIRST_LPI) || !mine) return;
    /* The same priority in both groups counts as one of Group 0. */
    if (other && (group ? (other & -other) <= (mine & -mine) : (other & -other) < (mine & -mine))) return;
    p->running[group] &= mine - 1;
    touch(m, cpu);
    if (p->eoi_mode || intid >= FIRST_LPI) settle(m);
    else deactivate(m, cpu, intid);
}

static void pend_sgi(machine *m, u32 cpu, u32 intid, u32 group) {
    word *b = &m->pes[cpu].bits;
    if ((b->group1 >> intid & 1) != group) return;
    b->latch |= 1u << intid;
    collect(m, cpu, 0);
}

static void send_sgi(machine *m, u32 sender, u64 value, u32 group) {
    u32 intid = value >> 24 & 0xF;
    if (value >> 40 & 1) {
        for (u32 cpu = 0; cpu < m->cpus; cpu++)
            if (cpu != sender) pend_sgi(m, cpu, intid, group);
    } else {
        u32 cluster = (value >> 48 & 0xFF) << 24 | (value >> 32 & 0xFF) << 16 | (value >> 16 & 0xFF) << 8;
        FOR_EACH_BIT(n, value & 0xFFFF) {
            u32 cpu = find(m, cluster | n);
            if (cpu != NOWHERE) pend_sgi(m, cpu, intid, group);
        }
    }
    settle(m);
}
