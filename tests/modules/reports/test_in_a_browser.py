"""Pages of every kind of run in a real browser: drawn, on a phone as on a wide screen, and nothing fetched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.reports.compare import compare
from modules.reports.page import render
from modules.reports.write import sections_of
from scripts.benchmark.reports import write_evaluation, write_logs
from tests.helpers.browser.chromium import look_at
from tests.modules.reports.test_reports import QUALITY, ROUNDS

WIDTHS = (400, 1400)
LABELLING = {"sequences": 2, "missing": [], "frames": 4, "ground_truth": 1, "pseudo": 3}
LEAST_DRAWINGS = {"training": 8, "evaluation": 6, "quality": 4, "rounds": 3, "labelling": 1, "compare": 4}
BAD = """<body><div style="width:2000px">wide</div><img src="https://example.invalid/x.png">
<script>console.error("a mistake")</script></body>"""


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, Path]:
    """A page of each kind, of made-up runs."""
    folders = {name: tmp_path / name for name in LEAST_DRAWINGS}
    for name in ("quality", "rounds", "labelling"):
        folders[name].mkdir()
    write_logs(folders["training"], steps=3000, every=100)
    (folders["training"] / "pictures").mkdir()
    Image.new("RGB", (640, 480)).save(folders["training"] / "pictures" / "val_00003000_00.png")
    write_evaluation(folders["evaluation"], detections=500)
    for name, file, content in (
        ("quality", "label_quality", QUALITY),
        ("rounds", "summary", ROUNDS),
        ("labelling", "summary", LABELLING),
    ):
        (folders[name] / f"{file}.json").write_text(json.dumps(content))
    scores = np.linspace(0, 1, 50, dtype=np.float32)
    np.savez(folders["quality"] / "boxes.npz", objectness=scores, class_confidence=scores, best_iou=scores)
    del folders["compare"]
    made = {name: sections_of(folder)[1] for name, folder in folders.items()}
    made["compare"] = compare([folders[name] for name in ("evaluation", "rounds", "labelling")])
    found = {name: tmp_path / f"{name}.html" for name in made}
    for name, page in found.items():
        page.write_text(render(name, made[name]), encoding="utf-8")
    return found


@pytest.mark.browser
def test_every_page_is_drawn_and_fits(pages: dict[str, Path], tmp_path: Path) -> None:
    bad, scratch = tmp_path / "bad.html", tmp_path / "scratch"
    bad.write_text(BAD)
    scratch.mkdir()
    seen = look_at([*pages.values(), bad], WIDTHS, scratch)
    assert len(seen.console) == len(WIDTHS)
    assert all("a mistake" in line for line in seen.console), seen.console
    views = {(view["page"], view["width"]): view for view in seen.views}
    for name, page in pages.items():
        for width in WIDTHS:
            view = views[str(page), width]
            assert view["needs"] <= width, f"{name} needs {view['needs']} pixels where there are {width}"
            assert view["fetched"] == [], name
            assert len(view["drawings"]) >= LEAST_DRAWINGS[name], name
            for across, down, parts in view["drawings"]:
                assert 250 < across <= width, name
                assert 100 < down < across, name
                assert parts > 5, name
            assert view["text"] > 100, name
            assert [seen for *_, seen in view["pictures"]] == ([640] if name == "training" else []), name
    for width in WIDTHS:  # what is wrong with a page would be seen
        view = views[str(bad), width]
        assert view["needs"] > 2000
        assert view["fetched"] == ["https://example.invalid/x.png"]
