"""Decoding: what a register's value, an ITS command or a table entry says."""
