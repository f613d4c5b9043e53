"""The soak test itself: a training killed at random ends like an undisturbed one, and a difference is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scripts.soak import runs, training
from scripts.soak.training import compare, report
from tests.helpers.commands import call
from tests.helpers.forked_steps import FORKING, forked_steps  # noqa: F401 # a fixture
from tests.helpers.made_once import MadeOnce


@pytest.mark.usefixtures("forked_steps", "warm")
def test_one_kill(
    made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "subprocess", FORKING)
    monkeypatch.setattr(runs, "_STARTS", 0.0)  # forked programs are too quick to be met while they start
    monkeypatch.setattr(runs, "_LATEST_S", 0.02)
    dataset = made_once.dataset(train=1)
    out = tmp_path / "soak"
    status = call(
        training.main, "training.py", "--kills", "1", "--steps", "4", "--workers", "0", "--output", str(out),
        "--report", str(tmp_path / "table.md"), f"dataset.path={dataset}", "logging.report=false",
        "validation.limit_val_batches=1",
    )  # fmt: skip
    text = capsys.readouterr().out
    assert status == 0, text
    assert "1 SIGKILL" in text
    assert text.count(": yes") == 4
    assert (tmp_path / "table.md").read_text() == text

    last = out / "runs" / "killed" / "last.ckpt"
    state = torch.load(last, weights_only=True)
    next(iter(state["state_dict"].values())).view(-1)[0] += 1e-7
    torch.save(state, last)
    same = compare(out / "runs" / "undisturbed", out / "runs" / "killed")
    assert not same["weights"]
    assert same["optimiser"]
    assert "weights: NO" in report([], same, ["python"])
