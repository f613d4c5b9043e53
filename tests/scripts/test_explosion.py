"""The command that shows how DMANet's training blows up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.ablation import explosion
from tests.helpers.commands import call


def test_it_trains_draws_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(iter(explosion.TRAININGS.items()))
    monkeypatch.setattr(explosion, "TRAININGS", dict([first]))
    monkeypatch.setattr(explosion, "SMALL", (*explosion.SMALL, "model.pillars.size=96"))
    assert call(explosion.main, "explosion.py", "--output", str(tmp_path), "--steps", "2") == 0
    table = capsys.readouterr().out
    assert all(name in table for name in (*explosion.TRAININGS, "without, sum", "model.memory.weight_eps=0.1"))
    found = json.loads((tmp_path / "explosion.json").read_text())
    with_box, empty, mean = found["empty"].values()
    assert empty[-1] > 10 * with_box[-1] > 10 * mean[-1], "scores of a fifth everywhere"
    norms = found["likeness"]["model.memory.weight_eps=1e-06"]
    assert [norms[1] / norms[0], norms[2] / norms[1]] == pytest.approx([100, 100], abs=1)
    assert (tmp_path / "explosion.png").stat().st_size > 10_000


def test_half_precision_ends_in_no_number_where_a_score_is_one() -> None:
    run = {"loss": [1.0, 0.5, float("nan")], "gradient": [1.0, 1.0, float("nan")]}
    found = {"runs": {"halved": run}, "scores": [0.1], "empty": {}, "scales": [1.0], "likeness": {}}
    assert "| halved | 1 | 0.5 | step 3 |" in explosion.report(found)
    assert len(explosion.plots(found)) == 3
