"""Two checkouts side by side: a row for each case, worktrees that go again, ratios, and mistakes."""

from __future__ import annotations

import re
import subprocess
from argparse import Namespace
from pathlib import Path

import pytest

from scripts.benchmark import side_by_side
from scripts.benchmark.side_by_side import chosen, row
from scripts.benchmark.sides import compare
from scripts.benchmark.sides.cases import CASES
from scripts.benchmark.sides.compare import Side, checkout, interval
from tests.helpers.commands import REPOSITORY, failure, run
from utils.errors import UserError

PROGRAM = "scripts/benchmark/side_by_side.py"


def test_a_checkout_against_itself(tmp_path: Path) -> None:
    page, here = tmp_path / "page.md", str(REPOSITORY)
    options = ("--quick", "--cases", "evaluation-20k", "--threads", "1", "--markdown", str(page))
    assert run(PROGRAM, here, here, *options) == 0
    text = page.read_text()
    assert "<!-- side_by_side -->\n## Side by side" in text
    assert re.search(r"^\| evaluation, 20,000 frames \| 1 \| .* \| equal \|$", text, re.MULTILINE), text


def test_a_revision_has_a_worktree_for_as_long_as_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "train.py").write_text("first\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "a", "--no-gpg-sign"], check=True)
    (tmp_path / "train.py").write_text("second\n")
    monkeypatch.setattr(compare, "_REPOSITORY", tmp_path)
    with checkout("HEAD", tmp_path / "tree") as tree:
        assert (tree / "train.py").read_text() == "first\n"
    assert not (tmp_path / "tree").exists()
    with checkout(str(tmp_path), tmp_path / "tree") as same:
        assert same == tmp_path
    for wrong in ("no-such-revision", str(tmp_path / ".git")):
        with pytest.raises(UserError, match="a revision"), checkout(wrong, tmp_path / "tree"):
            pass


def test_ratios_carry_an_interval_and_other_answers_are_told() -> None:
    ratio, low, high = interval([4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    assert ratio == pytest.approx(0.4)
    assert 1 / 6 <= low < ratio < high <= 3 / 4
    cells = row("a", 1, (Side([4.0], [100], [1.0]), Side([2.0], [50], [1.5])))
    assert cells[4] == "**0.50** [0.50 to 0.50]"
    assert cells[-2:] == ("0.50", "1, 1.5")


def test_a_case_that_fails_is_a_row_and_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit(3)\n")  # a checkout without anything
    case = CASES["evaluation-20k"]
    with pytest.raises(compare.CaseFailed, match="No module named"):
        compare.compare(case, (tmp_path, tmp_path), tmp_path / "made", 1, 1, True)
    answers = iter([compare.CaseFailed("a: gone"), (Side([4.0], [100], [1.0]), Side([2.0], [50], [1.0]))])

    def some(*_: object) -> tuple[Side, Side]:
        answer = next(answers)
        if isinstance(answer, compare.CaseFailed):
            raise answer
        return answer

    monkeypatch.setattr(side_by_side, "compare", some)
    here = str(REPOSITORY)
    args = Namespace(a=here, b=here, cases=["evaluation-20k", "evaluation-40k"], rounds=1, quick=True, threads=[1])
    lines = side_by_side.run(args).splitlines()
    assert lines[-2] == "| evaluation, 20,000 frames | 1 | - | - | - | - | - | - | failed |"
    assert lines[-1].endswith("| **0.50** [0.50 to 0.50] | 100 | 50 | 0.50 | equal |")


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen(["start-*"]) == [name for name in CASES if name.startswith("start-")]
    assert "--cases" in failure(capsys, PROGRAM, ".", ".", "--cases", "none")
    assert "--rounds" in failure(capsys, PROGRAM, ".", ".", "--rounds", "0")
