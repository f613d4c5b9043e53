"""Pages as a browser shows them: Chromium, started once without a window, and what it measures."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--no-default-browser-check", "--allow-file-access-from-files", "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    # Containers may have no room for its shared memory and no rights for its sandbox; the pages are ours.
    "--disable-dev-shm-usage", "--no-sandbox",
)  # fmt: skip

# A frame is as wide as it is told; a window of its own would be 500 pixels wide at least.
_MEASURE = """
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    page.querySelectorAll("details").forEach(each => { each.open = true; });
    const sizes = name => [...page.querySelectorAll(name)].map(each => {
      const box = each.getBoundingClientRect();
      return [box.width, box.height, name === "img" ? each.naturalWidth : each.querySelectorAll("path,use").length];
    });
    return {
      page: frame.title, width: frame.clientWidth, needs: root.scrollWidth, height: root.scrollHeight,
      drawings: sizes("svg"), pictures: sizes("img"), text: page.body.innerText.length,
      fetched: frame.contentWindow.performance.getEntriesByType("resource").map(each => each.name)
        .filter(name => !name.startsWith("data:")),
    };
  });
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = JSON.stringify(found);
});
"""


@dataclass(frozen=True)
class Seen:
    """What a browser made of pages.

    Attributes:
        views: a page at a width each: ``page``, ``width`` and ``needs`` (pixels; more than the width is overflow),
            ``height``, ``drawings`` and ``pictures`` (width, height, and parts or pixels of each), ``text``,
            ``fetched`` (addresses beside that of the page).
        console: lines that the pages, or the browser about them, wrote.
    """

    views: Sequence[dict[str, Any]]
    console: Sequence[str]


def find_browser() -> str | None:
    """Path of a Chromium."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def look_at(pages: Sequence[Path], widths: Sequence[int], scratch: Path) -> Seen:
    """Open pages at several widths, all in one start of the browser.

    Args:
        pages: HTML files.
        widths: pixels.
        scratch: an empty folder for the browser's own files.
    """
    frames = [
        f'<iframe title="{html.escape(str(page))}" src="{page.as_uri()}" style="width:{width}px;border:0"></iframe>'
        for page in pages
        for width in widths
    ]
    wrapper = scratch / "pages.html"
    wrapper.write_text(f"<!doctype html><body><script>{_MEASURE}</script>{''.join(frames)}</body>", encoding="utf-8")
    browser = find_browser()
    assert browser is not None, f"one of {', '.join(_NAMES)}"
    command = [browser, *_OPTIONS, f"--user-data-dir={scratch / 'profile'}", "--dump-dom", wrapper.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    told = re.search(r"<pre>(.*)</pre>", done.stdout, re.DOTALL)
    assert told is not None, done.stderr
    console = [line.partition("CONSOLE")[2] for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(json.loads(html.unescape(told[1])), console)
