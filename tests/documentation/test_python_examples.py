"""The Python of the documents runs as it stands there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_examples_of_the_python_api_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "documentation" / "python_api.md"
    namespace: dict = {}
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), namespace)
    assert namespace["metrics"]["mae_hu"] == pytest.approx(25)
    assert namespace["evaluation"].report.is_file()


def test_the_notebook_runs_and_is_kept_without_output():
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(ROOT / "examples" / "notebook" / "first_steps.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    client.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
    assert "mae_hu" in cells[-1].outputs[0]["data"]["text/plain"]
