"""How the GIC plugs into CPU engines: small modules to use, or to copy and change. Nothing in vgic imports them."""
