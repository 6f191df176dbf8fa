/*
 * The resident guest: performs operations on every vCPU, and records what comes of each of them.
 *
 * The same image runs in a guest of KVM and on QEMU's bare machine; guest.py has the layout of its RAM. The host lays
 * a program of operations for each vCPU in RAM, and a mailbox says where it is. The vCPUs run their programs in turns:
 * a PAUSE ends a turn, and the vCPU waits until it is told to go on.
 *
 * A vCPU enters at the highest Exception level that it has: with its number in X0 at EL1 and EL2, where the header
 * says whether vCPU 0 starts the others, by PSCI. From EL2 and EL3 it goes to wherever an operation is to be performed
 * and comes back.
 */
#include <stdint.h>

enum {
	RAM = 0x40200000, /* where the image begins */
	MOST_VCPUS = 16,
};

enum kind { PAUSE, READ, WRITE, MRS, MSR, WAIT };

struct operation {
	uint8_t kind;
	uint8_t size;	   /* READ, WRITE: bytes */
	uint16_t encoding; /* MRS, MSR: op0 [15:14], op1 [13:11], CRn [10:7], CRm [6:3], op2 [2:0] */
	uint32_t place;	   /* where it is performed: enum place, 0 where the guest is */
	uint64_t address;
	uint64_t value; /* WRITE, MSR; WAIT: until the word at the address is at least this */
};

/* A state of the PE. */
enum place {
	EL = 3,
	NS = 1 << 2,	  /* SCR_EL3.NS */
	SCR_IRQ = 1 << 3, /* SCR_EL3.IRQ, FIQ */
	SCR_FIQ = 1 << 4,
	HCR_IMO = 1 << 5, /* HCR_EL2.IMO, FMO */
	HCR_FMO = 1 << 6,
};

struct result {
	uint64_t value;	    /* READ, MRS */
	uint32_t exception; /* ESR_ELx of the exception that the operation took, 0 where it took none */
	uint16_t isr;	    /* ISR_EL1 afterwards, there */
	uint16_t level;	    /* x; without a syndrome an interrupt was taken there and the operation was not performed */
};

/* What the host and a vCPU tell each other; 64 bytes. */
static volatile struct mailbox {
	uint64_t go;   /* turns that may be taken */
	uint64_t done; /* turns that have been */
	const volatile struct operation *next;
	volatile struct result *result;		 /* where that of `next` goes */
	volatile uint32_t *leave; /* the end of a turn is a store to this address, unless it is 0 */
	uint64_t reserved[3];
} *const mailboxes = (void *)(RAM + 0x10000);

static volatile struct header {
	uint64_t start; /* how many vCPUs vCPU 0 has to start */
	uint64_t mpidr[MOST_VCPUS];
} *const header = (void *)(RAM + 0x11000);

/*
 * The image begins here. X28 is nobody's but the handlers' of exceptions, which leave there what guest.c has in the
 * upper half of a result, the level from bit 32 on, and step over the instruction.
 *
 * `away` goes to the place of SPSR_ELx in X3, calls the routine at X1 there, with X0 and X2, reads ISR_EL1 into X3, and
 * comes back by SMC or HVC. An interrupt that is not masked there comes back at once.
 *
 * Each routine is an instruction and a return: loads and stores of X0 at X2, an MRS and an MSR of X0 for each of the
 * 2048 registers with op0 3 and op1 0, and the 128 with op1 4 or 6 and CRn 12.
 */
asm(".text\n"
    ".macro step_over el\n"
    "	mrs	x28, elr_el\\el\n"
    "	add	x28, x28, #4\n"
    "	msr	elr_el\\el, x28\n"
    "	mrs	x28, esr_el\\el\n"
    "	orr	x28, x28, #\\el << 32\n"
    "	eret\n"
    ".endm\n"
    ".macro called el, class\n"
    "	mrs	x4, esr_el\\el\n"
    "	lsr	x4, x4, #26\n"
    "	cmp	x4, #\\class\n"
    "	b.eq	back\n"
    "	step_over \\el\n"
    ".endm\n"
    ".macro interrupted el, signal\n"
    "	mov	x3, #\\signal\n"
    "	mrs	x4, elr_el\\el\n"
    "	adr	x5, there\n"
    "	cmp	x4, x5\n"
    "	ccmp	x4, x1, #4, ne\n"
    "	b.ne	1f\n"
    "	mov	x28, #\\el << 32\n"
    "1:	cmp	x7, #\\el << 2\n"
    "	b.eq	back\n"
    "	smc	#0\n"
    ".endm\n"
    ".macro vectors el\n"
    "	.balign 2048\n"
    "vectors_el\\el:	.skip 0x200\n"
    "	step_over \\el\n"
    ".endm\n"
    ".macro vectors_for_lower el, class\n"
    "	vectors	\\el\n"
    "	.org	vectors_el\\el + 0x400\n"
    "	called \\el, \\class\n"
    "	.org	vectors_el\\el + 0x480\n"
    "	interrupted \\el, 0x80\n"
    "	.org	vectors_el\\el + 0x500\n"
    "	interrupted \\el, 0x40\n"
    ".endm\n"
    ".macro set register, value\n"
    "	ldr	x1, =\\value\n"
    "	msr	\\register, x1\n"
    ".endm\n"
    ".globl _start\n"
    "_start:	set	vbar_el1, vectors_el1\n"
    "	mrs	x7, currentel\n"
    "	cmp	x7, #1 << 2\n"
    "	b.eq	1f\n"
    "	set	vbar_el2, vectors_el2\n"
    "	set	sctlr_el1, 0x30d00800\n"
    "	cmp	x7, #2 << 2\n"
    "	b.eq	1f\n"
    "	set	vbar_el3, vectors_el3\n"
    "	set	sctlr_el2, 0x30c50830\n"
    "	mrs	x0, mpidr_el1\n"
    "	and	x0, x0, #0xff\n"
    "1:	isb\n"
    "	mov	w2, #0x400\n"
    "	ldr	x1, =0x40220000\n"
    "	madd	x1, x0, x2, x1\n"
    "	add	sp, x1, x2\n"
    "	b	serve\n"
    "	.ltorg\n"
    "away:	stp	x29, x30, [sp, #-16]!\n"
    "	adr	x4, there\n"
    "	mrs	x7, currentel\n"
    "	tbz	x7, #2, 1f\n"
    "	msr	elr_el3, x4\n"
    "	msr	spsr_el3, x3\n"
    "	eret\n"
    "1:	msr	elr_el2, x4\n"
    "	msr	spsr_el2, x3\n"
    "	eret\n"
    "there:	blr	x1\n"
    "	dsb	sy\n"
    "	isb\n"
    "	mrs	x3, isr_el1\n"
    "	tbz	x7, #2, 1f\n"
    "	smc	#0\n"
    "1:	hvc	#0\n"
    "back:	ldp	x29, x30, [sp], #16\n"
    "	ret\n"
    "vectors 1\n"
    "vectors_for_lower 2, 0x16\n"
    "vectors_for_lower 3, 0x17\n"
    ".macro routines name, instruction, first, count\n"
    "	.set	number, \\first\n"
    "\\name:\n"
    "	.rept	\\count\n"
    "	.inst	\\instruction + (number << 5)\n"
    "	ret\n"
    "	.set	number, number + 1\n"
    "	.endr\n"
    ".endm\n"
    "	.balign 2048\n"
    "routines mrs_el1, 0xd5380000, 0, 2048\n"
    "routines mrs_el2, 0xd5380000, 0x2600, 128\n"
    "routines mrs_el3, 0xd5380000, 0x3600, 128\n"
    "routines msr_el1, 0xd5180000, 0, 2048\n"
    "routines msr_el2, 0xd5180000, 0x2600, 128\n"
    "routines msr_el3, 0xd5180000, 0x3600, 128\n"
    "loads:	ldrb	w0, [x2]\n"
    "	ret\n"
    "	ldrh	w0, [x2]\n"
    "	ret\n"
    "	ldr	w0, [x2]\n"
    "	ret\n"
    "	ldr	x0, [x2]\n"
    "	ret\n"
    "stores:	strb	w0, [x2]\n"
    "	ret\n"
    "	strh	w0, [x2]\n"
    "	ret\n"
    "	str	w0, [x2]\n"
    "	ret\n"
    "	str	x0, [x2]\n"
    "	ret\n");

typedef const uint64_t routine; /* the two instructions of one */

extern routine mrs_el1[], mrs_el2[], mrs_el3[], msr_el1[], msr_el2[], msr_el3[], loads[], stores[];

static routine *of_register(unsigned encoding, routine *el1, routine *el2, routine *el3)
{
	switch (encoding >> 11 & 7) {
	case 4:
		return el2 + (encoding & 127);
	case 6:
		return el3 + (encoding & 127);
	default:
		return el1 + (encoding & 2047);
	}
}

static routine *routine_of(const volatile struct operation *operation)
{
	switch (operation->kind) {
	case READ:
		return loads + __builtin_ctz(operation->size);
	case WRITE:
		return stores + __builtin_ctz(operation->size);
	case MRS:
		return of_register(operation->encoding, mrs_el1, mrs_el2, mrs_el3);
	default:
		return of_register(operation->encoding, msr_el1, msr_el2, msr_el3);
	}
}

static void relax(void)
{
	asm volatile("yield" : : : "memory");
}

static void synchronize(void)
{
	asm volatile("dsb sy\n\tisb" : : : "memory");
}

static unsigned level(void)
{
	uint64_t value;

	asm("mrs %0, currentel" : "=r"(value));
	return value >> 2;
}

/* Have the PE be in this state, but for its Exception level. */
static void prepare(unsigned place)
{
	const uint64_t hcr = 1ull << 31 | (place & HCR_IMO ? 1 << 4 : 0) | (place & HCR_FMO ? 1 << 3 : 0);
	const uint64_t scr =
		0x530 | (place & NS ? 1 << 0 : 0) | (place & SCR_IRQ ? 1 << 1 : 0) | (place & SCR_FIQ ? 1 << 2 : 0);

	if (level() == 3)
		asm volatile("msr scr_el3, %0" : : "r"(scr));
	asm volatile("msr hcr_el2, %0\n\tisb" : : "r"(hcr));
}

/* Go to a place unless it is here, call a routine, and come back; what the routine leaves in X0. */
static uint64_t call(routine *called, unsigned place, uint64_t address, uint64_t value, uint16_t *isr)
{
	const int here = !place || (place & EL) == level();
	register uint64_t x0 asm("x0") = value;
	register routine *x1 asm("x1") = called;
	register uint64_t x2 asm("x2") = address;
	register uint64_t x3 asm("x3") = 0x23c1 | (place & EL) << 2; /* ALLINT, too, where there is FEAT_NMI */

	if (here)
		asm volatile("blr %1\n\tdsb sy\n\tisb\n\tmrs %3, isr_el1"
			     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			     :
			     : "x30", "memory");
	else
		asm volatile("bl away"
			     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			     :
			     : "x4", "x5", "x7", "x30", "cc", "memory");
	*isr = x3;
	return x0;
}

/* Perform the operations up to the next PAUSE. */
static void take_turn(volatile struct mailbox *box)
{
	const volatile struct operation *next = box->next;
	volatile struct result *result = box->result;

	for (; next->kind != PAUSE; ++next, ++result) {
		uint64_t value = 0, exception = 0;
		uint16_t isr = 0;

		if (next->kind == WAIT) {
			while (*(volatile uint32_t *)next->address < next->value)
				relax();
			synchronize();
		} else {
			if (next->place)
				prepare(next->place);
			asm volatile("mov x28, xzr");
			value = call(routine_of(next), next->place, next->address, next->value, &isr);
			asm volatile("mov %0, x28" : "=r"(exception));
		}
		result->value = exception || next->kind == WRITE || next->kind == MSR ? 0 : value;
		result->exception = exception;
		result->isr = isr;
		result->level = exception >> 32;
	}
	box->next = next + 1;
	box->result = result;
}

static void start_others(void)
{
	for (uint64_t vcpu = 1; vcpu <= header->start; ++vcpu) {
		register uint64_t x0 asm("x0") = 0xc4000003; /* CPU_ON */
		register uint64_t x1 asm("x1") = header->mpidr[vcpu];
		register uint64_t x2 asm("x2") = RAM;
		register uint64_t x3 asm("x3") = vcpu;

		if (level() == 2)
			asm volatile("smc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
		else
			asm volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	}
}

__attribute__((noreturn, used)) static void serve(uint64_t vcpu)
{
	volatile struct mailbox *box = &mailboxes[vcpu];

	if (!vcpu)
		start_others();
	for (;;) {
		while (box->done >= box->go)
			relax();
		take_turn(box);
		synchronize();
		++box->done;
		if (box->leave)
			*box->leave = box->done;
	}
}
