"""Judges: other GICs that can be asked what they do, operation by operation.

The one that there is is KVM itself (`kvm_host`): an arm64 kernel of Debian's under QEMU is a complete KVM host, on
any machine. `kernels` fetches such kernels, `agent` builds the program that runs in them and starts it, `kvm_abi`
says what KVM's structures look like.
"""
