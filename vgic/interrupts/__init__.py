"""Interrupts: banks of INTIDs, the registers over them, and their way to the CPU interfaces."""
