"""The `vgic` command: replaying traces, decoding registers, showing a machine."""

__version__ = "0.1.0"
"""`vgic.__version__`, told here too: to load the model takes longer than all else that `vgic --version` does."""
