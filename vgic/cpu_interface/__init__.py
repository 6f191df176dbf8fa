"""CPU interfaces: what is pending at a PE, what it takes, and the system registers."""
