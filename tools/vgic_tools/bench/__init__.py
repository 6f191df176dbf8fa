"""The benchmark: what operations cost, against yardsticks measured in the same run.

timing.py says how everything is timed. subject.py has what is measured of vgic itself, interpreted.py the same
with the interpreted core in a process beside it; c_yardstick.py, qemu_yardstick.py, objects.py and
construct_design.py are the yardsticks. suite.py lets all take turns, figures.py makes ratios of their times and
knows the bounds.

This file imports nothing: interpreted.py must come before any import of vgic.
"""
