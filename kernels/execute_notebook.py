"""Runs a notebook on its kernel and writes it, with its outputs, as .ipynb and HTML: `execute_notebook.py NOTEBOOK FOLDER`.

Standard output is one JSON object a line: {"cell", "cells"} as a code cell begins, {"headline"} for each printed line that
begins with "headline: ", {"file"} for each file written, {"error"} when a cell failed. What was run until a failure is
written too. Exits 0 when every cell ran, 1 when one failed.
"""

import json
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from traitlets.config import Config


def tell(**event):
    print(json.dumps(event), flush=True)


def printed(cell):
    """What a cell printed, and the errors that it showed."""
    parts = [out.get("text", "") or "\n".join(out.get("traceback", [])) for out in cell.get("outputs", [])]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(part for part in parts if part))


def write(path, text):
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    tell(file=str(path))


def main(source, folder):
    notebook = nbformat.read(source, as_version=4)
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    begun = []

    def on_start(cell, cell_index):
        if cell.cell_type == "code":
            begun.append(cell)
            tell(cell=len(begun), cells=len(code))

    client = NotebookClient(
        notebook,
        timeout=None,
        startup_timeout=120,
        resources={"metadata": {"path": str(source.parent)}},
        on_cell_start=on_start,
    )
    failed = False
    try:
        client.execute()
    except (CellExecutionError, RuntimeError) as error:  # the latter when the kernel does not start, or dies
        failed = True
        if begun:
            shown = printed(begun[-1]).strip()[-4000:] or str(error)
            tell(error=f"Cell {len(begun)} of {len(code)} failed.\n\n{begun[-1].source.strip()}\n\n{shown}")
        else:
            tell(error=f"The kernel did not start: {error}")

    for cell in notebook.cells:
        if cell.cell_type == "code":
            for line in printed(cell).splitlines():
                if line.startswith("headline: "):
                    tell(headline=line.removeprefix("headline: "))

    folder.mkdir(parents=True, exist_ok=True)
    write(folder / source.name, nbformat.writes(notebook) + "\n")
    # Our template is nbconvert's without the scripts that it would load from the network.
    templates = Path(__file__).parent
    exporter = HTMLExporter(
        config=Config({"HTMLExporter": {"extra_template_basedirs": [str(templates)], "template_name": "report"}})
    )
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": source.stem}})
    write(folder / f"{source.stem}.html", html)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
