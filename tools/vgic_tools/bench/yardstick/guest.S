/*
 * A bare-metal guest for QEMU's virt machine that repeats one operation on the GIC, for others to time.
 *
 * It waits for a letter, repeats what the letter stands for CALLS times, writes a value in 16 hexadecimal digits, and
 * waits again. While it waits, QEMU's CPU time stands still. The value is all that was read, ORed together, so that
 * somebody can see whether it read what it should have. It talks by semihosting; the MMU is off, interrupts are
 * masked. Built with CALLS defined and linked at the start of RAM; see qemu_yardstick.py.
 */
#define GICD     0x08000000
#define GICR     0x080a0000
#define SGI_BASE 0x10000
#define TIMER    27 /* The PPI of the virtual timer. */

        .equ READC, 7
        .equ WRITEC, 3

        .macro semihosting operation, parameter
        mov     w0, #\operation
        mov     x1, \parameter
        hlt     #0xf000
        .endm

        /* `operation` CALLS times; it ORs what it reads into x20. */
        .macro repeat letter, operation:vararg
        cmp     w19, #\letter
        b.ne    2f
        ldr     w21, =CALLS
1:      \operation
        subs    w21, w21, #1
        b.ne    1b
        b       answer
2:
        .endm

        .macro load register, address
        ldr     \register, [\address]
        orr     x20, x20, x0
        .endm

        .macro take
        mrs     x0, S3_0_C12_C12_0 /* ICC_IAR1_EL1 */
        msr     S3_0_C12_C12_1, x0 /* ICC_EOIR1_EL1 */
        orr     x20, x20, x0
        .endm

        .macro send_and_take
        msr     S3_0_C12_C11_5, x22 /* ICC_SGI1R_EL1 */
        take
        .endm

        .macro nothing
        orr     x20, x20, x0
        .endm

        .macro read_mask
        mrs     x0, S3_0_C4_C6_0 /* ICC_PMR_EL1 */
        orr     x20, x20, x0
        .endm

        .macro write_mask
        msr     S3_0_C4_C6_0, x23
        .endm

        .globl _start
_start:
        ldr     x0, =stack
        mov     sp, x0
        ldr     x24, =GICD
        ldr     x25, =GICR + 8 /* GICR_TYPER */
        ldr     x26, =GICR + SGI_BASE
        mov     w0, #3
        str     w0, [x24]
        mov     w0, #-1
        str     w0, [x26, #0x80] /* GICR_IGROUPR0 */
        ldr     w0, =1 | 1 << TIMER
        str     w0, [x26, #0x100] /* GICR_ISENABLER0 */
        mov     x23, #0xf8
        msr     S3_0_C4_C6_0, x23
        mov     x22, #1
        msr     S3_0_C12_C12_7, x22 /* ICC_IGRPEN1_EL1 */

        /* QEMU 7.2 returns READC's character too late, but leaves it below the stack pointer as well. */
wait:   strb    wzr, [sp, #-1]
        semihosting READC, xzr
        ldrb    w19, [sp, #-1]
        orr     w19, w19, w0
        mov     x0, #0
        mov     x20, #0
        repeat  'e', nothing
        repeat  'd', load w0, x24
        repeat  'r', load x0, x25
        repeat  'm', read_mask
        repeat  'w', write_mask
        repeat  's', send_and_take
        cmp     w19, #'t'
        b.ne    wait
        /* The timer has expired long ago: its line stays high while it is enabled. */
        msr     cntv_cval_el0, xzr
        mov     x0, #1
        msr     cntv_ctl_el0, x0
        repeat  't', take

answer: msr     cntv_ctl_el0, xzr
        mov     w21, #16
        adr     x22, digits
3:      ror     x20, x20, #60
        and     x0, x20, #0xf
        add     x2, x22, x0
        semihosting WRITEC, x2
        subs    w21, w21, #1
        b.ne    3b
        mov     x22, #1
        b       wait

digits: .ascii  "0123456789abcdef"

        .bss
        .align  4
        .skip   64
stack:
