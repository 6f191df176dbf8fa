"""Judges: other GICs that can be asked what they do, operation by operation.

`protocol` is what all of them have in common, and the model, which they are compared with, too. QEMU's virt machine
is asked from outside (`qemu`), or by a guest that is resident on each of its vCPUs (`qemu_guest`). KVM is asked of
its devices' attributes (`kvm`, `kvm_host`), or by the same guest (`kvm_guests`): an arm64 kernel of Debian's under
QEMU is a complete KVM host, on any machine.

`kernels` and `qemus` fetch what is asked, by `apt`; `agent` builds the program that runs in a kernel and starts it;
`guest` is the one that runs without; `kvm_abi` says what KVM's structures look like.
"""
