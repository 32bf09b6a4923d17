"""The documents as a site: every page and link is there, and nothing is loaded from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(
    r"<(?:script|img|iframe)[^>]*\bsrc=\"(?:https?:)?//|<link[^>]*\bhref=\"(?:https?:)?//", re.IGNORECASE
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocstrings", reason="the extra 'docs' is not installed")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "mkdocs.yml")]
    done = subprocess.run([*build, "-d", str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_home_page_is_the_readme_and_links_within_the_site(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    assert "MR in, CT out." in page and 'href="getting_started.html"' in page and 'src="pictures/figure4.png"' in page
    assert 'href="documentation/' not in page


def test_the_api_page_holds_the_docstrings(site):
    page = (site / "api.html").read_text(encoding="utf-8")
    assert "measure_arrays" in page and "from_model_folder" in page


def test_no_page_loads_anything_from_elsewhere(site):
    assert [path.name for path in site.rglob("*.html") if LOADED.search(path.read_text(encoding="utf-8"))] == []
