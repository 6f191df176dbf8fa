/*
 * Where CPUs enter, at EL1 with the MMU off and interrupts masked, and where exceptions do.
 * TPIDR_EL1 has the number of the CPU.
 */
	.section .text.start, "ax"
	.globl _start
_start:
	mov	x0, #0
	bl	set_up
	bl	find_cpus		/* returns the number of this one */
	bl	set_up
	bl	begin
1:	b	1b

	.globl enter
enter:					/* X0: the number, as PSCI's context */
	bl	set_up
	bl	attend
1:	b	1b

set_up:
	adr	x1, vectors
	msr	vbar_el1, x1
	msr	tpidr_el1, x0
	adrp	x1, stacks
	add	x1, x1, :lo12:stacks
	add	x2, x0, #1
	add	x1, x1, x2, lsl #12
	mov	sp, x1
	isb
	ret

	/* 20 registers that C may change, and what a nested exception changes. */
	.macro	interrupted function
	stp	x0, x1, [sp, #-192]!
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	mrs	x0, elr_el1
	mrs	x1, spsr_el1
	stp	x0, x1, [sp, #160]
	bl	\function
	ldp	x0, x1, [sp, #160]
	msr	elr_el1, x0
	msr	spsr_el1, x1
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	ldp	x0, x1, [sp], #192
	eret
	.endm

	.macro	vector target
	.balign	0x80
	b	\target
	.endm

	.balign	0x800
vectors:
	.rept	4
	vector	unexpected_exception
	.endr
	vector	unexpected_exception
	vector	irq
	vector	unexpected_exception
	vector	unexpected_exception
	.rept	8
	vector	unexpected_exception
	.endr

irq:	interrupted take_interrupt

unexpected_exception:
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	b	unexpected

	.bss
	.balign	4096
stacks:	.space	4096 * 32
