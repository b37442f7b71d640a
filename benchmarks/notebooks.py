"""Run the notebooks and keep their outputs in them, so that whoever reads them online sees the pictures.

    python -m benchmarks.notebooks [01_explain ...]

What is kept has no path of the machine: warnings and progress on stderr are left out, and large pictures are kept
smaller, as JPEG.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parents[1] / "notebooks"
SECONDS = 1200  # for one cell
WIDTH = 800  # pixels
LARGE = 60_000  # bytes of a PNG that is kept as it is


def run(path: Path) -> None:
    """Run a notebook in an empty folder, and write its outputs into it."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [kept(output) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata.pop("language_info", None)
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)


def kept(output: Any) -> Any:
    """An output with its picture small enough for a repository."""
    data = output.get("data", {})
    if "text/markdown" in data:
        data.pop("text/plain", None)  # every number of a table again
    encoded = data.get("image/png")
    if encoded is None or len(encoded) * 3 // 4 <= LARGE:
        return output
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        smaller = picture.convert("RGB")
    if smaller.width > WIDTH:
        smaller = smaller.resize((WIDTH, round(smaller.height * WIDTH / smaller.width)), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    smaller.save(written, "JPEG", quality=72)
    del data["image/png"]
    data["image/jpeg"] = base64.b64encode(written.getvalue()).decode()
    return output


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        run(FOLDER / f"{name}.ipynb")
