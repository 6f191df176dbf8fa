"""The state of a VM: its registers by name, saving and restoring them, the file, and what must hold."""
