/*
 * The registers of the C yardstick, and the replay of operations; what is behind them is in machine.h.
 *
 * Built with `cc -O3 -shared -fPIC` and called through ctypes; see c_yardstick.py.
 */
#include "machine.h"

#define SYSREG(crn, crm, op2) (3 << 14 | (crn) << 7 | (crm) << 3 | (op2))

static u64 sysreg_read(machine *m, u32 cpu, u32 encoding) {
    pe *p = &m->pes[cpu];
    u32 offered = p->best & 0xFFFFFF, some = p->best != NO_KEY;
    switch (encoding) {
    case SYSREG(4, 6, 0): return p->pmr;
    case SYSREG(12, 8, 0): return acknowledge(m, cpu, 0);
    case SYSREG(12, 12, 0): return acknowledge(m, cpu, 1);
    case SYSREG(12, 8, 2): return some && !group_of(m, p, offered) && p->enabled[0] ? offered : SPURIOUS;
    case SYSREG(12, 12, 2): return some && group_of(m, p, offered) && p->enabled[1] ? offered : SPURIOUS;
    case SYSREG(12, 8, 3): return p->bpr[0];
    case SYSREG(12, 12, 3): return !p->cbpr ? p->bpr[1] : p->bpr[0] < 7 ? p->bpr[0] + 1 : 7;
    case SYSREG(12, 8, 4): return p->running[0];
    case SYSREG(12, 9, 0): return p->running[1];
    case SYSREG(12, 11, 3): return running_priority(m, p);
    case SYSREG(12, 12, 4): return 1 << 15 | 1 << 11 | (m->priority_bits - 1) << 8 | p->eoi_mode << 1 | p->cbpr;
    case SYSREG(12, 12, 5): return 7;
    case SYSREG(12, 12, 6): return p->enabled[0];
    case SYSREG(12, 12, 7): return p->enabled[1];
    default: return 0;
    }
}

static u32 at_least(u32 value, u32 least) { return value < least ? least : value; }

static void sysreg_write(machine *m, u32 cpu, u32 encoding, u64 value) {
    pe *p = &m->pes[cpu];
    u32 least = 7 - m->priority_bits;
    switch (encoding) {
    case SYSREG(12, 8, 1): end(m, cpu, 0, value & 0xFFFFFF); return;
    case SYSREG(12, 12, 1): end(m, cpu, 1, value & 0xFFFFFF); return;
    case SYSREG(12, 11, 5): send_sgi(m, cpu, value, 1); return;
    case SYSREG(12, 11, 6): /* A Non-secure ICC_ASGI1R_EL1 reaches Group 0, as ICC_SGI0R_EL1 does. */
    case SYSREG(12, 11, 7): send_sgi(m, cpu, value, 0); return;
    case SYSREG(12, 11, 1):
        if (p->eoi_mode && (value & 0xFFFFFF) < 32 + m->spis) deactivate(m, cpu, value & 0xFFFFFF);
        return;
    case SYSREG(4, 6, 0): p->pmr = value & (0xFF00 >> m->priority_bits) & 0xFF; break;
    case SYSREG(12, 8, 3): p->bpr[0] = at_least(value & 7, least); break;
    case SYSREG(12, 12, 3): if (!p->cbpr) p->bpr[1] = at_least(value & 7, least + 1); break;
    case SYSREG(12, 8, 4): p->running[0] = value; break;
    case SYSREG(12, 9, 0): p->running[1] = value; break;
    case SYSREG(12, 12, 4): p->cbpr = value & 1, p->eoi_mode = value >> 1 & 1; break;
    case SYSREG(12, 12, 6): p->enabled[0] = value & 1; break;
    case SYSREG(12, 12, 7): p->enabled[1] = value & 1; break;
    default: return;
    }
    settle_one(m, cpu);
}

static u32 spread(u32 half) {
    u32 result = 0;
    FOR_EACH_BIT(n, half) result |= 2u << 2 * n;
    return result;
}

static u32 gather(u32 value) {
    u32 result = 0;
    for (u32 n = 0; n < 16; n++) result |= (value >> (2 * n + 1) & 1) << n;
    return result;
}

/* The registers with a field for each INTID, from IGROUPR to ICFGR; `offset` counts as for INTID 0. */
static u64 bank_read(machine *m, u32 cpu, u32 offset, u32 size) {
    u32 w = offset % 0x80 / 4, config = (offset - 0xC00) / 4;
    if (offset >= 0xC00) {
        word *b = word_of(m, cpu, config / 2);
        return offset >= 0xD00 ? 0 : spread(b->edge >> config % 2 * 16 & 0xFFFF);
    }
    if (offset >= 0x400) {
        u64 value = 0;
        if (offset < 0x800) memcpy(&value, priorities(m, cpu) + offset - 0x400, size);
        return value;
    }
    const word *b = word_of(m, cpu, w);
    switch (offset & ~0x7F) {
    case 0x080: return b->group1;
    case 0x100: case 0x180: return b->enabled;
    case 0x200: case 0x280: return pending(b);
    case 0x300: case 0x380: return b->active;
    default: return 0;
    }
}

static void bank_write(machine *m, u32 cpu, u32 offset, u32 size, u32 value) {
    u32 w = offset % 0x80 / 4, config = (offset - 0xC00) / 4;
    if (offset >= 0xD00) return;
    if (offset >= 0xC00) {
        word *b = word_of(m, cpu, config / 2);
        u32 shift = config % 2 * 16;
        b->edge = (b->edge & ~(0xFFFFu << shift)) | gather(value) << shift;
        update(m, cpu, config / 2);
        return;
    }
    if (offset >= 0x400) {
        for (u32 n = 0; n < size && offset < 0x800; n++) set_priority(m, cpu, offset - 0x400 + n, value >> 8 * n & 0xFF);
        return;
    }
    word *b = word_of(m, cpu, w);
    switch (offset & ~0x7F) {
    case 0x080: withdraw(m, cpu, w, b->group1 ^ value); b->group1 = value; break;
    case 0x100: b->enabled |= value; break;
    case 0x180: b->enabled &= ~value; break;
    case 0x200: b->latch |= value; break;
    case 0x280: b->latch &= ~value; break;
    case 0x300: b->active |= value; break;
    case 0x380: b->active &= ~value; break;
    default: return;
    }
    update(m, cpu, w);
}

/* INTIDs 0 to 31 are private, and registers beyond the last SPI are RAZ/WI. Only priorities are read as bytes. */
static int has_bank(const machine *m, u32 cpu, u32 offset, u32 size) {
    if (offset < 0x80 || offset >= 0xD00) return 0;
    if (size != 4 && (size != 1 || offset < 0x400 || offset >= 0x800)) return 0;
    u32 first = offset >= 0xC00 ? (offset - 0xC00) * 4 : offset >= 0x400 ? offset - 0x400 : offset % 0x80 * 8;
    return cpu == NOWHERE ? first >= 32 && first < 32 + m->spis : first < 32;
}

static int has_route(const machine *m, u32 offset, u32 size) {
    return size >= 4 && offset >= 0x6000 + 8 * 32 && offset < 0x6000 + 8 * (32 + m->spis);
}

static u64 distributor_read(machine *m, u32 offset, u32 size) {
    if (has_route(m, offset, size))
        return m->route[(offset - 0x6000) / 8] >> offset % 8 * 8 & (size == 8 ? UINT64_MAX : UINT32_MAX);
    if (has_bank(m, NOWHERE, offset, size)) return bank_read(m, NOWHERE, offset, size);
    if (offset == 0 && size == 4) return 0x50 | m->control; /* DS, ARE. */
    return size == 4 ? m->gicd_id[offset / 4] : 0;
}

static void distributor_write(machine *m, u32 offset, u32 size, u64 value) {
    if (has_route(m, offset, size)) {
        u32 intid = (offset - 0x6000) / 8, shift = offset % 8 * 8;
        u64 reached = (size == 8 ? UINT64_MAX : UINT32_MAX) << shift;
        withdraw(m, NOWHERE, intid / 32, 1u << intid % 32);
        u64 route = m->route[intid] = (m->route[intid] & ~reached) | (value << shift & reached);
        m->target[intid] = find(m, (route >> 32 & 0xFF) << 24 | (route & 0xFFFFFF));
        update(m, NOWHERE, intid / 32);
    } else if (offset == 0 && size == 4) {
        set_control(m, value);
    } else if (has_bank(m, NOWHERE, offset, size)) {
        bank_write(m, NOWHERE, offset, size, value);
    }
}

static u64 redistributor_read(machine *m, u32 cpu, u32 offset, u32 size) {
    pe *p = &m->pes[cpu];
    if (offset >= FRAME) {
        offset -= FRAME;
        return has_bank(m, cpu, offset, size) ? bank_read(m, cpu, offset, size) : 0;
    }
    if (size < 4) return 0;
    u64 wide = offset < 0x10 ? p->typer : offset < 0x78 ? p->propbaser : p->pendbaser;
    switch (offset) {
    case 0x00: return size == 4 ? p->ctlr | 2 : 0; /* CES */
    case 0x14: return size == 4 && p->asleep ? 6 : 0;
    case 0x08: case 0x70: case 0x78: return size == 8 ? wide : (u32)wide;
    case 0x0C: case 0x74: case 0x7C: return wide >> 32;
    default: return size == 4 ? m->gicr_id[offset / 4] : 0;
    }
}

static void redistributor_write(machine *m, u32 cpu, u32 offset, u32 size, u64 value) {
    pe *p = &m->pes[cpu];
    u64 *base = offset < 0x78 ? &p->propbaser : &p->pendbaser;
    if (offset >= FRAME) {
        offset -= FRAME;
        /* SGIs are always edge-triggered. */
        if (offset != 0xC00 && has_bank(m, cpu, offset, size)) bank_write(m, cpu, offset, size, value);
        return;
    }
    if (size < 4) return;
    switch (offset) {
    case 0x00: if (size == 4) p->ctlr = value & 1; return;
    case 0x14: if (size == 4) p->asleep = value >> 1 & 1; return;
    case 0x70: case 0x78: *base = size == 8 ? value : (*base >> 32 << 32) | (u32)value; return;
    case 0x74: case 0x7C: *base = (u32)*base | value << 32; return;
    }
}

/* An access goes to the Distributor, to a Redistributor, or nowhere. */
static u64 access(machine *m, u64 address, u32 size, int write, u64 value) {
    u64 offset = address - m->gicd_base;
    if (offset % size) return 0;
    if (offset < FRAME) {
        if (!write) return distributor_read(m, offset, size);
        distributor_write(m, offset, size, value);
        return 0;
    }
    for (u32 n = 0; n < m->regions; n++) {
        offset = address - m->region_base[n];
        if (offset >= (u64)REDISTRIBUTOR * m->region_count[n]) continue;
        u32 cpu = m->region_first[n] + offset / REDISTRIBUTOR;
        if (!write) return redistributor_read(m, cpu, offset % REDISTRIBUTOR, size);
        redistributor_write(m, cpu, offset % REDISTRIBUTOR, size, value);
        return 0;
    }
    return 0;
}

/* What Python calls. */

machine *yardstick_new(u32 cpus, u32 spis, u32 priority_bits, u64 gicd_base, const u32 *affinities) {
    machine *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    u32 slots = 2;
    while (slots < 2 * cpus) slots *= 2;
    m->cpus = cpus, m->spis = spis, m->priority_bits = priority_bits, m->gicd_base = gicd_base;
    m->hash_mask = slots - 1;
    m->pes = calloc(cpus, sizeof *m->pes);
    m->touched = calloc(cpus, sizeof *m->touched);
    m->hash = malloc(slots * sizeof *m->hash);
    if (!m->pes || !m->touched || !m->hash) return NULL;
    memset(m->hash, 0xFF, slots * sizeof *m->hash);
    for (u32 cpu = 0; cpu < cpus; cpu++) {
        pe *p = &m->pes[cpu];
        p->affinity = affinities[cpu];
        u32 slot = slot_of(m, p->affinity);
        while (m->hash[slot] != NOWHERE) slot = (slot + 1) & m->hash_mask;
        m->hash[slot] = cpu;
        p->bits.edge = 0xFFFF;
        p->best = NO_KEY;
        p->asleep = 1;
        p->bpr[0] = 7 - priority_bits, p->bpr[1] = 8 - priority_bits;
    }
    for (u32 intid = 0; intid < INTIDS; intid++) m->target[intid] = find(m, 0);
    return m;
}

void yardstick_free(machine *m) {
    free(m->hash);
    free(m->touched);
    free(m->pes);
    free(m);
}

/* Room for `count` Redistributors at `base`, the first of which is PE `first`'s. */
void yardstick_region(machine *m, u64 base, u32 first, u32 count) {
    if (m->regions == REGIONS) return;
    m->region_base[m->regions] = base, m->region_first[m->regions] = first, m->region_count[m->regions++] = count;
}

/* What an identification register reads, in the Distributor or in every Redistributor. */
void yardstick_identify(machine *m, u32 redistributor, u32 offset, u32 value) {
    (redistributor ? m->gicr_id : m->gicd_id)[offset / 4] = value;
}

/* GICR_TYPER of a PE. */
void yardstick_type(machine *m, u32 cpu, u64 typer) { m->pes[cpu].typer = typer; }

/* The outputs of a PE: IRQ in bit 0, FIQ in bit 1. */
u32 yardstick_outputs(const machine *m, u32 cpu) { return m->pes[cpu].irq | m->pes[cpu].fiq << 1; }

/* Perform operations; all that they read, ORed together. `results`, if not NULL, gets what each one reads, or 0. */
u64 yardstick_replay(machine *m, const operation *operations, u64 count, u64 *results) {
    u64 found = 0;
    for (u64 n = 0; n < count; n++) {
        const operation *o = &operations[n];
        u64 result = 0;
        switch (o->kind) {
        case READ: result = access(m, o->where, o->size, 0, 0); break;
        case WRITE: access(m, o->where, o->size, 1, o->value); break;
        case SYSREG_READ: result = sysreg_read(m, o->cpu, o->where); break;
        case SYSREG_WRITE: sysreg_write(m, o->cpu, o->where, o->value); break;
        case LINE: set_line(m, o->cpu, o->where, o->value); break;
        case NOTHING: break;
        }
        found |= result;
        if (results) results[n] = result;
    }
    return found;
}
