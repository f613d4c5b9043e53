r"""How a training of DMANet blows up, and what helps: each cure is a key of config/model/dmanet.yaml.

Trains a small network on a few windows, so that its loss is soon low, and takes three things apart: scores in half
precision, where the limit of the logarithm is none; the gradient through the likeness of two windows, where they are
nearly empty; frames without boxes, whose loss is a sum over all anchors.

For example:
  python scripts/ablation/explosion.py --output explosion --steps 300
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
from models.detection.dmanet.config import from_section
from models.detection.dmanet.detector import DmaNet
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
PUBLISHED = ("model.loss.precision=autocast",)
"""As it was when the network was trained with the half precision that programs now have built in."""

CURES: Mapping[str, tuple[str, ...]] = {
    "as published, half precision": PUBLISHED,
    "scores in float32": ("model.loss.precision=fp32",),
    "logarithm of logits": (*PUBLISHED, "model.loss.from_logits=true"),
    "mean of empty frames": ("model.loss.precision=fp32", "model.loss.empty_frame_norm=anchors"),
    "plain memory": ("model.loss.precision=fp32", "model.memory.cell=plain"),
    "larger eps": ("model.loss.precision=fp32", "model.memory.weight_eps=0.1"),
}
SCALES = (1.0, 1e-2, 1e-4, 1e-6)
"""What maps are multiplied by."""


def windows(section: Mapping[str, Any], empty: bool) -> tuple[Tensor, FrameBoxes]:
    """Pillars [L, B, 2, P, columns] of squares full of events that move, and their boxes.

    Args:
        section: of the model.
        empty: the second lane shows nothing and has no boxes.
    """
    rng, parts, rows, frame = np.random.default_rng(0), [], [], []
    for lane in range(LANES):
        shown = []
        for step in range(WINDOWS):
            count = 0 if empty and lane else 400
            corner = np.array([6 + 4 * step, 10 + 8 * lane])
            x, y = corner[:, None] + rng.integers(0, 24, (2, count))
            t = np.sort(rng.integers(0, DT_US, count))
            shown.append(Events.from_arrays(t, x, y, rng.integers(0, 2, count)))
            if count:
                row = np.ones(len(Label), np.float32)
                row[Label.XYWH], row[Label.CLASS_ID] = (*corner, 24, 24), lane
                rows.append(row)
                frame.append(step * LANES + lane)
        parts.append(EventWindows(tuple(shown), HW, HW, DT_US))
    order = np.argsort(frame, kind="stable")
    boxes = FrameBoxes(
        torch.from_numpy(np.stack(rows)[order]), torch.from_numpy(np.array(frame)[order]), WINDOWS * LANES, HW
    )
    return EventsPayload(PillarSettings.of(section)).stacked(parts, WINDOWS, None).data, boxes


def training(overrides: Sequence[str], steps: int, rate: float, dtype: torch.dtype, empty: bool) -> dict[str, Any]:
    """Train on the same windows again and again, in autocast.

    Returns:
        loss and norm of the gradient by step, until the first that is no number.
    """
    section = compose([*SMALL, *overrides])["model"]
    torch.manual_seed(0)
    network = DmaNet(from_section(section)).train()
    given, boxes = windows(section, empty)
    optimizer = torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad], lr=rate)
    losses, norms = [], []
    for _ in range(steps):
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            features, _ = network.features(given, None)
            loss = network.losses(features, boxes)["loss"]
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        losses.append(float(loss.detach()))
        norms.append(float(norm))
        if not math.isfinite(losses[-1]):
            break
        optimizer.step()
    return {"loss": losses, "gradient": norms}


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
    for name, overrides in CURES.items():
        half = "half" in name or "logits" in name or "float32" in name
        runs[name] = training(overrides, steps, rate, torch.bfloat16 if half else torch.float32, not half)
        log.info("%s: %d steps, last loss %.3g", name, len(runs[name]["loss"]), runs[name]["loss"][-1])
    runs["sum of empty frames"] = training(("model.loss.precision=fp32",), steps, rate, torch.float32, True)
    return {"runs": runs, "scales": list(SCALES), "likeness": {f"{eps:g}": likeness(eps) for eps in (1e-6, 1e-3, 0.1)}}


def plots(found: Mapping[str, Any]) -> list[Plot]:
    """The training in half precision with its cures, empty frames, and the gradient of the likeness."""

    def series(names: Sequence[str], what: str) -> Series:
        runs = {name: np.array(found["runs"][name][what]) for name in names}
        return {name: (np.arange(1, len(run) + 1, dtype=np.float64), run) for name, run in runs.items()}

    half = ("as published, half precision", "scores in float32", "logarithm of logits")
    empties = ("sum of empty frames", "mean of empty frames", "plain memory", "larger eps")
    broken = [
        (len(found["runs"][name]["loss"]), found["runs"][name]["loss"][-2])
        for name in half
        if not math.isfinite(found["runs"][name]["loss"][-1]) and len(found["runs"][name]["loss"]) > 1
    ]
    exponents = -np.log10(np.array(found["scales"]))
    grown = {f"eps {eps}": (exponents, np.array(norms)) for eps, norms in found["likeness"].items()}
    return [
        curves("Loss in half precision (a dot: then no number)", series(half, "loss"), "step", "loss", marks=broken),
        curves("Half of the frames empty", series(empties, "gradient"), "step", "gradient's norm", logarithmic=True),
        curves("Gradient through the likeness", grown, "maps divided by 10 to the", "norm", logarithmic=True),
    ]


def report(found: Mapping[str, Any]) -> str:
    """A table of the trainings, and one of the likeness, in Markdown."""
    rows = []
    for name, run in found["runs"].items():
        finite = [value for value in run["loss"] if math.isfinite(value)]
        end = "none" if len(finite) == len(run["loss"]) else f"step {len(run['loss'])}"
        cells = (f"{finite[0]:.4g}", f"{finite[-1]:.4g}", f"{np.nanmax(run['gradient']):.3g}", end)
        rows.append((name, *cells))
    grown = [(f"eps {eps}", *(f"{norm:.3g}" for norm in norms)) for eps, norms in found["likeness"].items()]
    first = table(("training", "first loss", "last loss", "largest gradient", "no number from"), rows, right=[1, 2, 3])
    heads = ("gradient through the likeness", *(f"maps x {scale:g}" for scale in found["scales"]))
    return "\n".join([*first, "", *table(heads, grown, right=[1, 2, 3, 4])])


def main() -> None:
    """Write explosion.png and explosion.json, print the tables."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="of the figure and its numbers")
    parser.add_argument("--steps", type=int, default=300, help="of each training (default: 300)")
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
