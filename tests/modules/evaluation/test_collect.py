"""Detections of several processes: gathered as they are, evaluated once, the same figures everywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from modules.evaluation.collector import DetectionCollector
from tests.helpers.forked_processes import together
from utils.boxes import BBOX_DTYPE
from utils.evaluation.prophesee import PropheseeEvaluator

FRAMES = 60


def evaluator() -> PropheseeEvaluator:
    return PropheseeEvaluator(["car", "ped"], 240, 304, 30, 10)


def fill(collector: DetectionCollector, rank: int, world: int) -> None:
    """The frames of a rank: equal scores in many frames, two views in some, no label or no detection in others."""
    for frame in range(FRAMES):
        rng = np.random.default_rng(frame)
        labels = np.zeros(int(rng.integers(0, 4)), BBOX_DTYPE)
        labels["t"], labels["x"], labels["y"] = 10**6 + 50_000 * frame, rng.integers(0, 150), rng.integers(0, 90)
        labels["w"], labels["h"], labels["class_id"] = 40, 60, rng.integers(0, 2, len(labels))
        key = f"séquence_{frame % 7}", frame
        views = []
        for _ in range(1 + frame % 2):
            corner = rng.integers(0, 150, (int(rng.integers(0, 9)), 2)) + rng.integers(-4, 5)
            scores, classes = rng.integers(1, 5, (len(corner), 2)) / 5, rng.integers(0, 2, (len(corner), 1))
            rows = np.concatenate([corner, corner + np.array([40, 60]), scores, classes], axis=1)
            views.append(torch.from_numpy(rows.astype(np.float32)))
        if frame % 7 % world == rank:
            collector.add_labels(key, labels, 10**6 + 50_000 * frame)
            for view in views:
                collector.add_detections(key, view)


def figures_of_rank(folder: Path) -> None:
    rank, world = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    collector = DetectionCollector()
    fill(collector, rank, world)
    figures = collector.compute(evaluator(), 0.45)
    (folder / f"{world}_{rank}.json").write_text(json.dumps(figures))
    dist.destroy_process_group()


def test_one_two_and_three_processes_give_the_same_figures_to_the_last_digit(tmp_path: Path) -> None:
    collector = DetectionCollector()
    fill(collector, 0, 1)
    alone = dict(collector.compute(evaluator(), 0.45))
    assert 0 < alone["AP"] < 1
    for world in (2, 3):
        assert together(world, tmp_path, figures_of_rank, tmp_path) == [0] * world
        for rank in range(world):
            assert json.loads((tmp_path / f"{world}_{rank}.json").read_text()) == alone


def test_a_process_without_a_frame_takes_part(tmp_path: Path) -> None:
    assert together(2, tmp_path, one_empty, tmp_path) == [0, 0], (tmp_path / "rank0.txt").read_text()


def one_empty(folder: Path) -> None:
    rank = int(os.environ["LOCAL_RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=2)
    collector = DetectionCollector()
    if rank == 1:
        fill(collector, 0, 1)
    assert collector.compute(evaluator(), 0.45)["AP"] > 0
    dist.destroy_process_group()


def test_a_frame_without_a_box_counts_in_the_strict_figures_only() -> None:
    box = np.zeros(1, BBOX_DTYPE)
    box["t"], box["x"], box["y"], box["w"], box["h"] = 10**6, 10, 10, 40, 60
    hit = torch.tensor([[10.0, 10, 50, 70, 1, 0.5, 0]])
    wrong = torch.tensor([[90.0, 10, 130, 70, 1, 0.9, 0]])
    collector = DetectionCollector()
    collector.add_labels(("a", 20), box, 0)
    collector.add_detections(("a", 20), hit)
    collector.add_labels(("a", 21), box[:0], 10**6 + 50_000)
    collector.add_detections(("a", 21), wrong)
    figures = collector.compute(evaluator(), 0.45)
    assert figures["AP_50"] == figures["AP_50_car"] == 1.0
    assert figures["strict_AP_50"] == pytest.approx(0.5, abs=0.01)
    # One that lies before the time from which boxes count has no say.
    collector.add_labels(("a", 21), box[:0], 400_000)
    assert collector.compute(evaluator(), 0.45)["strict_AP_50"] == 1.0
