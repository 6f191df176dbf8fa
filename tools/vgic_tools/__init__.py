"""The `vgic` command: replaying traces, decoding registers, showing a machine."""
