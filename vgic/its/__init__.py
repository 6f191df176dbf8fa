"""The Interrupt Translation Service: from a device's message to an LPI at a Redistributor."""
