"""`vgic exits`: what Linux's tracing tells of a KVM guest's exits, and of its accesses to the GIC."""
