"""Redistributors: their frames, and the SGIs between their PEs."""
