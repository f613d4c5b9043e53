"""DMANet over the windows of a reference file, in evaluation and in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from data.payloads.pillars import PillarSettings, voxelise
from models.detection.dmanet.config import DmaNetConfig
from models.detection.dmanet.detector import DmaNet
from models.detection.interface import FrameBoxes
from tests.helpers.neighbours.fill import digest, fill
from utils.boxes import Label

Arrays = dict[str, np.ndarray[Any, Any]]
Row = tuple[str, float, float]
"""Array, worst error, tolerance."""

ATOL = 1e-4
FILL = (
    (r"aggregation_layer\.\d\.(theta|phi)\.weight", 0.3),
    (r"classificationModel\.output\.weight", 0.12),
    (r"regressionModel\.output\.weight", 0.06),
    (r"pfn_layers\.0\.conv1\.weight", 0.02),
)
SAMPLED = 997
"""Of large arrays every so manieth number is in the packed file."""


def filled(**settings: Any) -> DmaNet:
    """A network with the reference's weights."""
    network = fill(DmaNet(DmaNetConfig(7, (settings["size"],) * 2, **settings)), scales=FILL)
    with torch.no_grad():
        assert network.classificationModel.output.bias is not None
        network.classificationModel.output.bias -= 2.5
    return network


def error(name: str, own: Any, theirs: Any, tolerance: float = ATOL, relative: bool = False) -> Row:
    """Worst absolute difference, or that relative to the largest number."""
    own, theirs = np.asarray(own, np.float64), np.asarray(theirs, np.float64)
    if own.shape != theirs.shape:
        return f"{name} {own.shape} {theirs.shape}", np.inf, tolerance
    worst = float(np.abs(own - theirs).max(initial=0))
    return name, worst / max(float(np.abs(theirs).max(initial=0)), 1e-12) if relative else worst, tolerance


class Run:
    """The network over the steps of a reference file."""

    def __init__(self, given: Arrays, **settings: Any) -> None:
        self.given, self.size = given, settings["size"]
        self.network = filled(**settings)
        state = self.network.state_dict()
        for key, value in given.items():
            if key.startswith("bn__"):
                state[key.removeprefix("bn__")].copy_(torch.from_numpy(value))
        self.steps = max(int(key[4]) for key in given if key.startswith("ev_t")) + 1
        self.lanes = max(int(key[-1]) for key in given if key.startswith("ev_t0_b")) + 1
        self.pillars = torch.stack([self._window(step) for step in range(self.steps)])

    def _window(self, step: int) -> torch.Tensor:
        """Pillars [B, 2, P, columns] of a step; P is the same for all steps."""
        settings = PillarSettings(size=self.size)
        window = torch.zeros(self.lanes, 2, max(len(self.given["ev_t0_b0"]), 1), settings.columns)
        for lane in range(self.lanes):
            events = self.given[f"ev_t{step}_b{lane}"]
            for side, polarity in enumerate((1, 0)):
                table = voxelise(events[events[:, 3] == polarity, :3], settings)
                window[lane, side, : len(table)] = torch.from_numpy(table)
        return window

    def targets(self) -> FrameBoxes:
        """Boxes of all steps."""
        rows, frame = [], []
        for step in range(self.steps):
            for lane, boxes in enumerate(self.given[f"gt_t{step}"]):
                boxes = boxes[boxes[:, 4] >= 0]
                row = np.ones((len(boxes), len(Label)), np.float32)
                row[:, Label.XY], row[:, Label.WH] = boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]
                row[:, Label.CLASS_ID] = boxes[:, 4]
                rows.append(row)
                frame += [step * self.lanes + lane] * len(boxes)
        count = self.steps * self.lanes
        return FrameBoxes(torch.from_numpy(np.concatenate(rows)), torch.tensor(frame), count, (self.size, self.size))

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """What the reference file has of each step, by its keys."""
        network, found, state = self.network.eval(), {}, None
        for step in range(self.steps):
            found[f"img_t{step}"] = network.picture(self.pillars[step])
            features, state = network.features(self.pillars[step : step + 1], state)
            logits, offsets = network.outputs(features)
            found |= {f"cls_t{step}": logits.sigmoid(), f"reg_t{step}": offsets}
            for scale, (hidden, cell, before) in enumerate(state["memory"]):
                for name, short, value in (("hidden", "h", hidden), ("cell", "c", cell), ("feat", "f", before)):
                    found[f"{name}{scale}_t{step}"] = value[:, ::8]
                    found[f"{short}{scale}_t{step}"] = value
            for lane, boxes in enumerate(network.boxes(network.predictions(features), 0.1, 0.5)):
                found[f"det_t{step}_b{lane}"] = boxes
        return found

    def train(self) -> dict[str, Any]:
        """Losses of each step, their sum and the norms of its gradients, in training mode."""
        network = self.network.train()
        features, _ = network.features(self.pillars, None)
        targets, total, losses = self.targets(), torch.zeros(()), []
        for step in range(self.steps):
            chosen = torch.arange(step * self.lanes, (step + 1) * self.lanes)
            mine = (targets.frame >= chosen[0]) & (targets.frame <= chosen[-1])
            boxes = FrameBoxes(targets.rows[mine], targets.frame[mine] - chosen[0], self.lanes, (self.size, self.size))
            found = network.losses(network.select(features, chosen), boxes)
            losses.append(torch.stack((found["class_loss"], found["box_loss"])))
            total = total + found["loss"]
        total.backward()
        norms = {name: float(w.grad.norm()) for name, w in network.named_parameters() if w.grad is not None}
        return {"losses": torch.stack(losses).detach(), "total": float(total.detach()), "norms": norms}


def run_rows(given: Arrays, **settings: Any) -> Iterator[Row]:
    """The whole network in evaluation and in training."""
    run = Run(given, **settings)
    found = run.evaluate()
    every = 101 if settings["size"] == 512 else 1
    for key, own in found.items():
        if key.startswith("det"):
            yield error(f"{key}_n", len(own), given[f"{key}_n"], 3)
            continue
        if f"{key}__sum" in given:
            kept = digest(own)
            yield error(f"{key}__val", kept["val"], given[f"{key}__val"])
            scale = float(given[f"{key}__abssum"])  # sums of signed numbers nearly vanish
            yield error(f"{key}__sum", kept["sum"] / scale, given[f"{key}__sum"] / scale, 1e-5)
            for name in ("abssum", "l2"):
                yield error(f"{key}__{name}", kept[name], given[f"{key}__{name}"], 1e-5, relative=True)
        if key in given:
            own = own[:, ::every] if key[:3] in ("cls", "reg") else own
            yield error(key, own.reshape(-1)[::SAMPLED] if given[key].ndim == 1 else own, given[key])
    trained = run.train()
    yield error("train_losses", trained["losses"], given["train_losses"], 1e-3, relative=True)
    yield error("train_total", trained["total"], given["train_total"], 1e-4, relative=True)
    theirs = dict(zip(given["gradnorm_names"].tolist(), given["gradnorm_vals"].tolist(), strict=True))
    names = sorted(theirs)
    scale = float(given["gradnorm_total"])
    yield "gradnorm_names", float(len(set(names) ^ set(trained["norms"]))), 0
    own_norms = [trained["norms"].get(name, np.inf) for name in names]
    yield error("gradnorm_vals", np.array(own_norms) / scale, np.array([theirs[name] for name in names]) / scale, 1e-3)
