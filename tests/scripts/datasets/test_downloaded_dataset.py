"""A downloaded dataset becomes frames and labels by its name and its folder alone."""

from __future__ import annotations

import json

from tests.helpers.commands import run
from tests.helpers.recordings.downloads import write_dsec


def test_dsec_detection_in_one_command(tmp_path):
    raw, out = tmp_path / "dsec", tmp_path / "out"
    for split, name in (("train", "zurich_city_00_a"), ("train", "zurich_city_16_a"), ("test", "thun_02_a")):
        write_dsec(raw, split, name, [100_000, 150_000, 200_000], [0, 2, 7])
    arguments = ("dataset=dsec_det", f"dataset.path={out}", "hardware.num_workers=0")
    assert run("scripts/preprocess_dataset.py", *arguments, f"raw_path={raw}") == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert {split: list(entry["sequences"]) for split, entry in manifest["splits"].items()} == {
        "train": ["zurich_city_00_a"],
        "val": ["zurich_city_16_a"],
        "test": ["thun_02_a"],
    }
    assert manifest["settings"]["layout"] == "dsec"
    assert run("scripts/preprocess_dataset.py", "--verify", *arguments) == 0
