"""Real guests on this GIC: a machine of Unicorn CPUs, with QEMU virt's address map."""
