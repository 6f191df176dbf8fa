"""`vgic compare`: random operations on another GIC and on the model at once, and what differs made short."""
