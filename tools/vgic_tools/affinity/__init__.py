"""Experiments: what a vCPU count, an MPIDR layout, a routing or an affinity level costs.

`study` runs the measurements of one experiment, keeps them in a CSV file, and resumes. `layout_study`,
`routing_study`, `fairness_study` and `trap_study` are the experiments. The module of plots beside each knows its
rows and draws them; no experiment knows its plots. `command` brings both together, `report` makes a page of them.
"""
