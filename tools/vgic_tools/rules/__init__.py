"""`vgic rules`: which GIC obeys which rule of specs/."""
