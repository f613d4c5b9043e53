"""The checks for a GPU at toy size on a CPU; one that fails, hangs or kills its process is a row like the others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from modules.training.stopping import TRY_AGAIN
from scripts.benchmark.gpu import report as gpu_report
from scripts.benchmark.gpu.report import FAILED, NOT_REACHED, PASSED, Case, Checks, Result
from tests.helpers.commands import failure, run

PROGRAM = "scripts/benchmark/gpu_check.py"


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def rows_of(text: str) -> dict[str, str]:
    """Result by name of the check."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1] for row in cells if row[0] not in ("check", "---")}


@pytest.mark.parametrize(
    ("groups", "sections"),
    [
        ("device,layers", ("Device", "LSTM", "Equality", "Attention", "Suppression")),
        pytest.param("speed,commands", ("Training step", "One frame", "Commands"), marks=pytest.mark.soak),
    ],
)
def test_every_check_is_a_row(tmp_path: Path, groups: str, sections: tuple[str, ...]) -> None:
    page, report = tmp_path / "BENCHMARKS.md", tmp_path / "report.md"
    options = ("--quick", "--device", "cpu", "--only", groups)
    assert run(PROGRAM, *options, "--markdown", str(page), "--output", str(report)) == 0
    text = report.read_text()
    assert "<!-- gpu_check -->\n## On a GPU" in page.read_text()
    assert text.strip() in page.read_text()
    rows = rows_of(text)
    assert len(rows) > len(sections)
    assert set(rows.values()) <= {"", PASSED}, text
    for section in sections:
        assert f"### {section}" in text


@pytest.mark.soak
def test_trainings_that_are_killed_and_go_on(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    assert run(PROGRAM, "--quick", "--device", "cpu", "--only", "training", "--output", str(report)) == 0
    text = report.read_text()
    assert list(rows_of(text).values()) == [PASSED], text
    assert "went on from" in text
    assert "weights equal to the last bit" in text


def case(name: str, *, error: Exception | None = None, seconds: float = 0.0) -> Case:
    """A check that passes or fails."""

    def check() -> Result:
        if error is not None:
            raise error
        return Result("1 ms", True)

    return Case("A", name, check, seconds)


def test_a_failure_is_a_row_and_the_rest_runs() -> None:
    written: list[str] = []
    checks = Checks(written.append, {"device": "none"}, budget_s=60)
    checks.run([case("one", error=RuntimeError("cuDNN | error\nmore")), case("two"), case("far", seconds=100)])
    assert rows_of(checks.report()) == {"one": FAILED, "two": PASSED, "far": NOT_REACHED}
    assert "RuntimeError: cuDNN \\| error |" in checks.report()
    assert "1 passed, 1 failed, 1 not reached" in checks.report()
    assert len(written) == 3
    assert "two" not in written[0], "the report is written after each check"


def test_a_check_that_took_the_process_with_it_is_not_run_again(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    ran: list[str] = []

    def noted(name: str) -> Case:
        return Case("A", name, lambda: (ran.append(name), Result("fine"))[1], 0.0)

    state.write_text(json.dumps({"end": time.time() + 60, "rows": {"A: one": ["", "1"]}, "running": "A: two"}))
    checks = Checks(lambda _: None, {}, 60, state)
    checks.run([noted("one"), noted("two"), noted("three")])
    assert ran == ["three"]
    assert "| two | **failed** | the process ended in it |" in checks.report()
    assert json.loads(state.read_text())["running"] is None


def test_a_check_that_hangs_ends_the_process_with_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_report, "_LEAST_LIMIT_S", 0.05)
    left: list[int] = []
    state = tmp_path / "state.json"
    checks = Checks(lambda _: None, {}, 60, state, leave=left.append)
    checks.cases = [case("slow")]
    with checks._watched(checks.cases[0]):
        time.sleep(0.3)
    assert left == [TRY_AGAIN]
    assert json.loads(state.read_text())["rows"] == {"A: slow": [FAILED, "not done after 0 s"]}


def test_a_lost_device_ends_the_process_after_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_report, "_device_answers", lambda: False)
    left: list[int] = []
    checks = Checks(lambda _: None, {}, 60, leave=left.append)
    checks.run([case("one", error=RuntimeError("illegal memory access"))])
    assert left == [TRY_AGAIN]
    assert rows_of(checks.report()) == {"one": FAILED}


@pytest.mark.parametrize(("option", "value"), [("--only", "colours"), ("--budget-s", "0")])
def test_mistakes(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    assert value in failure(capsys, PROGRAM, "--quick", option, value)
