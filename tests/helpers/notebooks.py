"""Runs the example notebooks. As a program, writes what they show into them."""

import os
import tempfile
from pathlib import Path
from typing import Final

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from sessions import PATIENCE

__all__ = ["NOTEBOOKS", "executed", "shown"]

NOTEBOOKS: Final = sorted((Path(__file__).parents[2] / "specs" / "examples").glob("*.ipynb"))


def executed(path: Path) -> NotebookNode:
    """The notebook after a run of all its cells, in its own folder. Raises CellExecutionError where one fails."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"JUPYTER_RUNTIME_DIR": folder, "IPYTHONDIR": folder}
        client = NotebookClient(
            notebook,
            timeout=int(PATIENCE),
            resources={"metadata": {"path": path.parent}},
            record_timing=False,
        )
        client.execute()
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/html" in data:
                # It may name an address, which is another one in every run.
                data.pop("text/plain", None)
    return notebook


def shown(notebook: NotebookNode) -> list[str]:
    """What the cells show, one after the other."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [str(output.get("text") or output["data"]) for output in outputs]


if __name__ == "__main__":
    for notebook_path in NOTEBOOKS:
        nbformat.write(executed(notebook_path), notebook_path)
