// Where CPUs begin, and where exceptions go. The MMU stays off.

    .section .text.start, "ax"
    .global _start, start_secondary

_start:
    mov x0, #0
start_secondary:                    // x0: the number of the CPU, which PSCI CPU_ON was given
    mov x19, x0
    adrp x1, stacks
    add x1, x1, :lo12:stacks
    add x2, x0, #1
    add x1, x1, x2, lsl #13
    mov sp, x1
    msr tpidr_el1, x0
    adrp x1, vectors
    add x1, x1, :lo12:vectors
    msr vbar_el1, x1
    mov x1, #3 << 20                // no trap of SIMD: the compiler may use it
    msr cpacr_el1, x1
    isb
    cbnz x0, 1f
    adrp x1, bss_start
    add x1, x1, :lo12:bss_start
    adrp x2, bss_end
    add x2, x2, :lo12:bss_end
0:  cmp x1, x2
    b.hs 1f
    str xzr, [x1], #8
    b 0b
1:  mov x0, x19
    bl begin
2:  wfi
    b 2b

    .macro save
    sub sp, sp, #208
    stp x0, x1, [sp]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x29, [sp, #144]
    mrs x0, elr_el1
    mrs x1, spsr_el1
    stp x30, x0, [sp, #160]
    str x1, [sp, #176]
    .endm

    .macro load
    ldp x30, x0, [sp, #160]
    ldr x1, [sp, #176]
    msr elr_el1, x0
    msr spsr_el1, x1
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x29, [sp, #144]
    ldp x0, x1, [sp]
    add sp, sp, #208
    .endm

interrupt:
    save
    bl take_interrupt
    load
    eret

unexpected:
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    bl take_exception
    b .

    .macro entry to
    .balign 128
    b \to
    .endm

    .balign 2048
vectors:
    .rept 5
    entry unexpected
    .endr
    entry interrupt                 // IRQ, from this Exception level with its own stack pointer
    .rept 10
    entry unexpected
    .endr

    .section .bss.stacks, "aw", @nobits
    .balign 4096
stacks:
    .skip 0x2000 * 16
