"""Saved VMs of others: QEMU's migration streams, and what VMMs keep of KVM's GIC."""
