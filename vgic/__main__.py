"""`python -m vgic` is the `vgic` command, which comes with this package in `vgic_tools`.

Nothing in this package imports the tools: this file, which nothing imports, hands over to them by name.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("vgic_tools", run_name="__main__", alter_sys=True)
