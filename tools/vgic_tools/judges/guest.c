/*
 * The resident guest: performs operations at EL1, on every vCPU, and records what comes of each of them.
 *
 * The same image runs in a guest of KVM and on QEMU's bare machine; guest.py has the layout of its RAM. The host lays
 * a program of operations for each vCPU in RAM, and a mailbox says where it is. The vCPUs run their programs in turns:
 * a PAUSE ends a turn, and the vCPU waits until it is told to go on.
 *
 * A vCPU enters with its number in X0. Where the header says so, vCPU 0 starts the others, by PSCI.
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
	uint16_t encoding; /* MRS, MSR: op0 [15:14], op1 [13:11], CRn [10:7], CRm [6:3], op2 [2:0]; op0 3, op1 0 */
	uint32_t reserved;
	uint64_t address;
	uint64_t value; /* WRITE, MSR; WAIT: until the word at the address is at least this */
};

struct result {
	uint64_t value;	    /* READ, MRS */
	uint32_t exception; /* ESR_EL1 of the exception that the operation took, 0 where it took none */
	uint32_t isr;	    /* ISR_EL1 afterwards */
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
 * The image begins here. X28 is nobody's but the handler's of exceptions, which leaves ESR_EL1 there and steps over
 * the instruction. The tables have an MRS and an MSR of X0 and a return for each of the 2048 registers.
 */
asm(".text\n"
    ".globl _start\n"
    "_start:	adr	x1, vectors\n"
    "	msr	vbar_el1, x1\n"
    "	isb\n"
    "	mov	w2, #0x400\n"
    "	ldr	x1, =0x40220000\n"
    "	madd	x1, x0, x2, x1\n"
    "	add	sp, x1, x2\n"
    "	b	serve\n"
    "	.ltorg\n"
    "	.balign 2048\n"
    "vectors:	.skip 0x200\n"
    "	mrs	x28, elr_el1\n"
    "	add	x28, x28, #4\n"
    "	msr	elr_el1, x28\n"
    "	mrs	x28, esr_el1\n"
    "	eret\n"
    "	.balign 2048\n"
    ".set number, 0\n"
    "mrs_table:\n"
    ".rept 2048\n"
    "	.inst	0xd5380000 + (number << 5)\n"
    "	ret\n"
    "	.set number, number + 1\n"
    ".endr\n"
    ".set number, 0\n"
    "msr_table:\n"
    ".rept 2048\n"
    "	.inst	0xd5180000 + (number << 5)\n"
    "	ret\n"
    "	.set number, number + 1\n"
    ".endr\n");

extern const uint64_t mrs_table[], msr_table[];

static uint64_t system_register(const uint64_t *table, unsigned encoding, uint64_t value)
{
	register uint64_t x0 asm("x0") = value;

	asm volatile("blr %1" : "+r"(x0) : "r"(&table[encoding & 2047]) : "x30", "memory");
	return x0;
}

static uint64_t read(uint64_t address, unsigned size)
{
	uint64_t value = 0;

	switch (size) {
	case 1:
		asm volatile("ldrb %w0, [%1]" : "+r"(value) : "r"(address) : "memory");
		break;
	case 2:
		asm volatile("ldrh %w0, [%1]" : "+r"(value) : "r"(address) : "memory");
		break;
	case 4:
		asm volatile("ldr %w0, [%1]" : "+r"(value) : "r"(address) : "memory");
		break;
	case 8:
		asm volatile("ldr %0, [%1]" : "+r"(value) : "r"(address) : "memory");
		break;
	}
	return value;
}

static void write(uint64_t address, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		asm volatile("strb %w0, [%1]" : : "r"(value), "r"(address) : "memory");
		break;
	case 2:
		asm volatile("strh %w0, [%1]" : : "r"(value), "r"(address) : "memory");
		break;
	case 4:
		asm volatile("str %w0, [%1]" : : "r"(value), "r"(address) : "memory");
		break;
	case 8:
		asm volatile("str %0, [%1]" : : "r"(value), "r"(address) : "memory");
		break;
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

static uint32_t isr(void)
{
	uint64_t value;

	asm volatile("mrs %0, isr_el1" : "=r"(value) : : "memory");
	return value;
}

/* Perform the operations up to the next PAUSE. */
static void take_turn(volatile struct mailbox *box)
{
	const volatile struct operation *next = box->next;
	volatile struct result *result = box->result;

	for (; next->kind != PAUSE; ++next, ++result) {
		uint64_t value = 0, exception;

		asm volatile("mov x28, xzr");
		switch (next->kind) {
		case READ:
			value = read(next->address, next->size);
			break;
		case WRITE:
			write(next->address, next->size, next->value);
			break;
		case MRS:
			value = system_register(mrs_table, next->encoding, 0);
			break;
		case MSR:
			system_register(msr_table, next->encoding, next->value);
			break;
		case WAIT:
			while (*(volatile uint32_t *)next->address < next->value)
				relax();
			break;
		}
		synchronize();
		asm volatile("mov %0, x28" : "=r"(exception));
		result->value = exception ? 0 : value;
		result->exception = exception;
		result->isr = isr();
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
