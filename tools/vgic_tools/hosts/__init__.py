"""Hosts: `vgic host`, the files that describe a host, and real ones as examples."""
