r"""How a training of DMANet blows up, and what helps: each cure is a key of config/model/dmanet.yaml.

Trains a small network on a few windows in half precision, where the limit of the loss's logarithm is none; and takes
two more things apart: frames without boxes, whose loss is a sum over all anchors, and the gradient through the likeness
of two windows, where they are nearly empty.

For example:
  python scripts/ablation/explosion.py --output explosion --steps 100
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch import Tensor

from config.compose import compose
from data.events.types import Events
from data.payloads.events import EventsPayload, EventWindows
from data.payloads.pillars import PillarSettings
from models.detection.dmanet.anchors import anchors
from models.detection.dmanet.config import LossConfig, from_section
from models.detection.dmanet.detector import DmaNet
from models.detection.dmanet.losses import frame_losses
from models.detection.dmanet.memory import alike
from models.detection.interface import FrameBoxes
from scripts import check_least, make_parser
from utils.atomic import write_json
from utils.boxes import Label
from utils.commands.cli import run_command
from utils.pictures.plots import Plot, Series, curves, save_plots
from utils.tables import table

log = logging.getLogger(__name__)

HW, DT_US, WINDOWS, LANES = (64, 64), 50_000, 2, 2
SMALL = (
    "model=dmanet",
    "dataset=synthetic",
    f"dataset.sensor_hw=[{2 * HW[0]},{2 * HW[1]}]",
    "model.pillars.size=128",
    "model.channels=[8,8,16,16]",
    "model.head_channels=32",
)
TRAININGS: Mapping[str, tuple[str, ...]] = {
    "as published, half precision": ("model.loss.precision=autocast",),
    "model.loss.precision=fp32": ("model.loss.precision=fp32",),
    "model.loss.from_logits=true": ("model.loss.precision=autocast", "model.loss.from_logits=true"),
}
"""Overrides by name: half precision that frameworks have built in, and what cures it."""

SCORES = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Of all anchors; the first is that of a network before its first step."""

SCALES = (1.0, 1e-2, 1e-4, 1e-6)
"""What maps are multiplied by."""


def windows(section: Mapping[str, Any]) -> tuple[Tensor, FrameBoxes]:
    """Pillars [L, B, 2, P, columns] of squares full of events that move, one a lane, and their boxes."""
    rng, parts = np.random.default_rng(0), []
    rows = np.ones((WINDOWS, LANES, len(Label)), np.float32)
    for lane in range(LANES):
        shown = []
        for step in range(WINDOWS):
            corner = np.array([6 + 4 * step, 10 + 8 * lane])
            x, y = corner[:, None] + rng.integers(0, 24, (2, 400))
            t = np.sort(rng.integers(0, DT_US, 400))
            shown.append(Events.from_arrays(t, x, y, rng.integers(0, 2, 400)))
            rows[step, lane, Label.XYWH] = (*corner, 24, 24)
            rows[step, lane, Label.CLASS_ID] = lane
        parts.append(EventWindows(tuple(shown), HW, HW, DT_US))
    count = WINDOWS * LANES
    boxes = FrameBoxes(torch.from_numpy(rows.reshape(count, -1)), torch.arange(count), count, HW)
    return EventsPayload(PillarSettings.of(section)).stacked(parts, WINDOWS, None).data, boxes


def training(overrides: Sequence[str], steps: int, rate: float) -> dict[str, list[float]]:
    """Train on the same windows again and again, in autocast to bfloat16.

    Returns:
        loss and norm of the gradient by step, until the first loss that is no number.
    """
    section = compose([*SMALL, *overrides])["model"]
    torch.manual_seed(0)
    network = DmaNet(from_section(section)).train()
    given, boxes = windows(section)
    optimizer = torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad], lr=rate)
    losses, norms = [], []
    for _ in range(steps):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features, _ = network.features(given, None)
            loss = network.losses(features, boxes)["loss"]
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)))
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            break
        optimizer.step()
    return {"loss": losses, "gradient": norms}


def empty_frames() -> dict[str, list[float]]:
    """Class loss of a frame with a box and of one without, both ways, by the score that all anchors have."""
    own, box = anchors(128, 128), torch.tensor([[20.0, 20, 84, 84]])
    frames = {
        "with a box": (box, "none"),
        "without, sum": (box[:0], "none"),
        "without, model.loss.empty_frame_norm=anchors": (box[:0], "anchors"),
    }
    found: dict[str, list[float]] = {name: [] for name in frames}
    for score in SCORES:
        logits = torch.full((len(own), 2), math.log(score / (1 - score)))
        for name, (boxes, norm) in frames.items():
            class_id = torch.zeros(len(boxes), dtype=torch.int64)
            config = LossConfig(empty_frame_norm=norm)
            found[name].append(float(frame_losses(logits, torch.zeros(len(own), 4), own, boxes, class_id, config)[0]))
    return found


def likeness(eps: float) -> list[float]:
    """Norm of the gradient through the likeness of two maps, by what the maps are multiplied by."""
    torch.manual_seed(0)
    maps, norms = torch.rand(2, 1, 16, 8, 8), []
    for scale in SCALES:
        pair = (maps * scale).requires_grad_()
        alike(pair[0], pair[1], eps).sum().backward()
        assert pair.grad is not None
        norms.append(float(pair.grad.norm()))
    return norms


def measure(steps: int, rate: float) -> dict[str, Any]:
    """All that is drawn and told."""
    runs = {}
    for name, overrides in TRAININGS.items():
        runs[name] = training(overrides, steps, rate)
        log.info("%s: %d steps, last loss %.3g", name, len(runs[name]["loss"]), runs[name]["loss"][-1])
    grown = {f"model.memory.weight_eps={eps:g}": likeness(eps) for eps in (1e-6, 1e-3, 0.1)}
    return {"runs": runs, "scores": SCORES, "empty": empty_frames(), "scales": SCALES, "likeness": grown}


def plots(found: Mapping[str, Any]) -> list[Plot]:
    """The training in half precision, the loss of empty frames, and the gradient of the likeness."""

    def over(x: Sequence[float], series: Mapping[str, Sequence[float]]) -> Series:
        return {name: (np.array(x, np.float64)[: len(y)], np.array(y)) for name, y in series.items()}

    losses = {name: [loss for loss in run["loss"] if math.isfinite(loss)] for name, run in found["runs"].items()}
    ended = [(len(kept), kept[-1]) for name, kept in losses.items() if len(kept) < len(found["runs"][name]["loss"])]
    steps = range(1, max(map(len, losses.values())) + 1)
    exponents = [-math.log10(scale) for scale in found["scales"]]
    half, empty, grown = over(steps, losses), over(found["scores"], found["empty"]), over(exponents, found["likeness"])
    return [
        curves(
            "training in half precision; after the dot the loss is no number",
            half,
            "optimiser step",
            "loss of the batch",
            logarithmic=True,
            marks=ended,
        ),
        curves(
            "class loss of a window that holds a box, and of one that holds none",
            empty,
            "score of every anchor, from 0 to 1",
            "class loss",
            logarithmic=True,
        ),
        curves(
            "gradient through the likeness of two maps, as the maps get emptier",
            grown,
            "how many times the maps were divided by ten",
            "length of the gradient",
            logarithmic=True,
        ),
    ]


def report(found: Mapping[str, Any]) -> str:
    """Tables of the trainings, of frames without boxes and of the likeness, in Markdown."""
    rows = []
    for name, run in found["runs"].items():
        finite = [value for value in run["loss"] if math.isfinite(value)]
        end = "never" if len(finite) == len(run["loss"]) else f"step {len(run['loss'])}"
        rows.append((name, f"{finite[0]:.3g}", f"{finite[-1]:.3g}", end))
    lines = table(("training", "first loss", "last loss", "no number from"), rows, right=[1, 2])
    for title, heads, kind in (
        ("class loss of a frame", [f"scores {score:g}" for score in found["scores"]], "empty"),
        ("gradient of the likeness", [f"maps x {scale:g}" for scale in found["scales"]], "likeness"),
    ):
        cells = [(name, *(f"{value:.3g}" for value in values)) for name, values in found[kind].items()]
        lines += ["", *table((title, *heads), cells, right=list(range(1, len(heads) + 1)))]
    return "\n".join(lines)


def main() -> None:
    """Write explosion.png and explosion.json, print the tables."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="of the figure and its numbers")
    parser.add_argument("--steps", type=int, default=100, help="of each training (default: 100)")
    parser.add_argument("--rate", type=float, default=0.002, help="learning rate (default: 0.002)")
    args = parser.parse_args()

    def run() -> None:
        check_least(args, steps=2)
        found = measure(args.steps, args.rate)
        args.output.mkdir(parents=True, exist_ok=True)
        write_json(args.output / "explosion.json", found)
        save_plots(args.output / "explosion.png", plots(found))
        print(report(found))

    run_command(run)


if __name__ == "__main__":
    main()
