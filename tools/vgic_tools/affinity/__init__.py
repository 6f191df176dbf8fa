"""Experiments: what a vCPU count, an MPIDR layout, a routing or an affinity level costs.

`study` runs the measurements of one experiment, keeps them in a CSV file, and resumes; `plots` and `report` show
them. `layout_study`, `routing_study`, `fairness_study` and `trap_study` are the experiments.
"""
