"""A page in headless Chromium, driven by a script of the test's own: no driver and no further package is needed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# What a test's script may use; its value ends up as JSON in an element that --dump-dom shows.
_DRIVER = """
<script>
(async () => {
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const until = async (holds) => { for (let i = 0; i < 200 && !holds(); i++) await sleep(25); };
  const pane = (plane, kind) => document.querySelector(`canvas[data-plane="${plane}"][data-kind="${kind}"]`);
  const all = () => [...document.querySelectorAll("#panes canvas")];
  const named = (c) => [c.dataset.plane, c.dataset.kind, c.dataset.model].filter(Boolean).join(" ");
  const pictures = () => Object.fromEntries(all().map((c) => [named(c), c.toDataURL()]));
  const changed = (before) => {
    const after = pictures();
    return Object.keys(after).filter((name) => after[name] !== before[name]);
  };
  const choose = (id, value) => {
    document.getElementById(id).value = value;
    document.getElementById(id).dispatchEvent(new Event("change"));
  };
  const key = (name) => document.getElementById("panes").dispatchEvent(
    new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
  const text = (id) => document.getElementById(id).textContent;
  const ready = () => until(() => all().length && text("readout"));
  let result;
  try {
    result = await (async () => { SCRIPT })();
  } catch (fault) {
    result = { fault: String(fault) };
  }
  const place = document.createElement("pre");
  place.id = "result-of-test";
  place.textContent = JSON.stringify(result);
  document.body.append(place);
})();
</script>
"""


@dataclass(frozen=True)
class Visit:
    """What the script returned, and what the page wrote to the console."""

    result: Any
    console: list[str]


def visit(page: Path, script: str, *, size: tuple[int, int] = (1280, 1400), flags: tuple[str, ...] = ()) -> Visit:
    """Open a page from the disk and run ``script`` in it, the body of an async function.

    The page is copied, with the script at its end; nothing else is changed.
    """
    driven = page.with_name("driven.html")
    html = page.read_text(encoding="utf-8")
    driven.write_text(html.replace("</body>", f"{_DRIVER.replace('SCRIPT', script)}</body>"), encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={page.parent / 'profile'}",
            f"--window-size={size[0]},{size[1]}",
            "--virtual-time-budget=60000",
            "--dump-dom",
            *flags,
            driven.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="result-of-test">(.*?)</pre>', done.stdout, re.DOTALL)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    if found is None:
        raise AssertionError(f"the script has not come to its end; the console says {console}")
    return Visit(json.loads(unescape(found[1])), console)
