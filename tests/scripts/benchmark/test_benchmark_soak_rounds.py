"""The soak test of rounds itself: what it counts, what it compares, whom it finds left, and how it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scripts.soak import runs as soak_runs
from scripts.soak import self_training
from scripts.soak.runs import Kill
from scripts.soak.self_training import Rounds, report, running
from tests.helpers.commands import call


def write(path: Path, text: str = "{}") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_is_counted_and_compared(tmp_path: Path) -> None:
    one, other = (Rounds(tmp_path / name, ["rounds=2"]) for name in ("one", "other"))
    assert one.command[-2:] == ("rounds=2", f"root={tmp_path / 'one'}")
    for name in ("logs/baseline.log", "baseline/config.yaml", "baseline/done.json", "round1_labels/summary.json"):
        write(one.output / name)
    assert one.state() == (2,)
    assert one.work() == 4
    for run, seconds, ap in ((one, 1.0, 0.5), (other, 2.0, 0.5)):
        summary = {"settings": {"root": str(run.output)}, "arms": {"AP": ap}, "seconds": {"baseline": seconds}}
        write(run.result, json.dumps(summary))
    assert one.figures() == other.figures() == {"settings": {"root": "ROOT"}, "arms": {"AP": 0.5}}
    other.result.write_text(other.result.read_text().replace("0.5", "0.6"))
    assert one.figures() != other.figures()


def test_who_is_left_is_found() -> None:
    assert running("no process has these words") == []
    parent = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    assert f"{os.getppid()}: {parent}" in running(parent)
    text = report([Kill(1.0, (3,))], True, ["7: train.py"])
    assert "1 SIGKILLs. The summary of the undisturbed run? yes. Processes left behind: 7: train.py." in text
    assert "NO. Processes left behind: none." in report([], False, [])


def test_a_kill_sees_who_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_training, "_GOING_S", 0.0)
    monkeypatch.setattr(self_training, "running", lambda words: [f"8: {words}"])
    monkeypatch.setattr(soak_runs.SoakRun, "kill", lambda run, target, delay_s: Kill(delay_s, run.state()))
    run = Rounds(tmp_path, [])
    assert run.kill(1, 0.5) == Kill(0.5, (0,))
    assert run.left == [f"8: {tmp_path}"]


@pytest.mark.parametrize(("ap", "status"), [(0.5, 0), (0.6, 1)])
def test_it_ends_well_only_with_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ap: float, status: int
) -> None:
    def finish(run: Rounds) -> float:
        write(run.output / "logs" / "baseline.log")
        write(run.result, json.dumps({"AP": ap if run.output.name == "killed" else 0.5, "seconds": {}}))
        return 1.0

    monkeypatch.setattr(Rounds, "finish", finish)
    monkeypatch.setattr(soak_runs.SoakRun, "kill", lambda run, target, delay_s: Kill(delay_s, run.state()))
    own = ("--dataset-path", str(tmp_path), "--output", str(tmp_path / "soak"), "--kills", "2")
    assert call(self_training.main, "self_training.py", *own) == status
    assert "2 SIGKILLs" in capsys.readouterr().out
