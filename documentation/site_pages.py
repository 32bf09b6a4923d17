"""Hooks of mkdocs: pages above this folder, and links that work on a code host and in the site."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ABOVE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the top-level folder."""
    root = Path(config.docs_dir).parent
    for source, page in ABOVE.items():
        text = LINK.sub(_in_site, (root / source).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace links that leave the folder, to the pages of the top-level folder or, to source code, by their text."""
    return LINK.sub(_in_site, markdown)


def _in_site(link: re.Match[str]) -> str:
    picture, text, target = link.groups()
    if "://" in target or target.startswith("#"):
        return link[0]
    path, hash_sign, anchor = target.removeprefix("../").removeprefix("documentation/").partition("#")
    if path in ABOVE or path.endswith((".md", ".png")) and not target.startswith("../examples"):
        return f"{picture}[{text}]({ABOVE.get(path, path)}{hash_sign}{anchor})"
    return text
