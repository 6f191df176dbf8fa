"""Register layouts of the GIC, one file a frame or register file. Names and bits are those of Arm IHI 0069."""
