"""The benchmarks run, carry their protocol and keep the rest of their file; plain arithmetic changes no number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from scripts.benchmark.measure import write_section
from scripts.benchmark.subjects import QUICK_OVERRIDES, Subject, plain_arithmetic
from tests.helpers.commands import failure, run


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("throughput", ["stage-parallel", "frame loop", "frame loop, plain softmax attention"]),
        ("latency", ["eager", "eager, plain softmax attention"]),
    ],
)
def test_it_runs_and_says_how(tmp_path: Path, name: str, rows: list[str]) -> None:
    target = tmp_path / "BENCHMARKS.md"
    options = ("--sequence-length", "2", "--batch-size", "1") if name == "throughput" else ()
    assert run(f"scripts/benchmark/{name}.py", "--quick", "--markdown", str(target), *options) == 0
    text = target.read_text()
    for fact in (
        "device: ",
        "precision: 32",
        "threads: 1",
        "64x96",
        "warm-up: 1",
        "runs: 2",
        "load",
        "processor ms",
        "GFLOP/s",
    ):
        assert fact in text
    for row in rows:
        assert f"| {row} |" in text


def test_networks_of_timm_have_no_plain_arithmetic(capsys: pytest.CaptureFixture[str]) -> None:
    network = ("model=rnndet-timm", "model.backbone.timm_name=resnet10t", "model.backbone.embed_dim=8")
    arguments = ("--quick", "dataset=gen1", "dataset.sensor_hw=[60,90]", *network)
    assert run("scripts/benchmark/latency.py", *arguments) == 0
    text = capsys.readouterr().out
    assert "| eager |" in text
    assert "plain softmax" not in text
    message = failure(capsys, "scripts/benchmark/latency.py", *arguments, "--variants", "plain")
    assert "the recurrent transformer" in message


def test_a_section_replaces_its_last_version_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    write_section(path, "one", "alpha")
    write_section(path, "two", "omega")
    write_section(path, "one", r"new \1")
    text = path.read_text()
    assert "alpha" not in text
    assert text.startswith("# Benchmarks")
    assert text.index("new \\1") < text.index("omega")


def test_plain_arithmetic_gives_the_same_numbers() -> None:
    subject = Subject((*QUICK_OVERRIDES, "model.backbone.attention.ls_init_value=0.5"), torch.device("cpu"))
    frames = subject.frames(3, 2)
    with torch.no_grad():
        fast, _ = subject.detector.forward_sequence(frames)
        with plain_arithmetic(subject.detector):
            plain, _ = subject.detector.forward_sequence(frames)
    torch.testing.assert_close(fast[4], plain[4], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--runs", "0"), "--runs from 1"),
        (("dataset=gen7",), "gen7"),
        (("--sequence-length", "0"), "--sequence-length"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    assert message in failure(capsys, "scripts/benchmark/throughput.py", *arguments)


def test_detr_is_measured_alone_in_a_quick_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scripts/benchmark/detr.py", "--quick") == 0
    text = capsys.readouterr().out
    assert "| ours | " in text
    assert "transformers: not measured with --quick" in text
