"""Checks of what the commands run on a GPU: a training step as train.py makes it, labelling, the live detector."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from config.compose import compose
from data.payloads.frames import FrameInputs
from models import half_weights
from models.detection.yolox.columns import Output
from modules.detection import Module
from modules.evaluation.views import hflip_lanes
from modules.live.streaming_detector import StreamingDetector
from modules.optim import build_optimizer
from modules.training.batch_size_search import empty_batch
from scripts.benchmark import measure
from scripts.benchmark.gpu.report import Case, Result
from scripts.benchmark.gpu.subject import LAUNCHES, Bench, launches, milliseconds, synchronisations

KEPT_BOXES = 100
"""Boxes of a frame above the threshold when labelling, about, before suppression."""


def cases(bench: Bench) -> list[Case]:
    """All checks of this file, in order."""
    found = [
        Case("Commands", f"training_step of train.py, {precision}", partial(training_step, bench, precision), 15)
        for precision in ("16", "bf16")
    ]
    found += [
        Case("Commands", f"weights cast together, {precision}", partial(cast_together, bench, precision), 8)
        for precision in ("16", "bf16")
    ]
    found.append(Case("Commands", "optimiser of float32, all weights at once", partial(optimizer, bench), 5))
    found += [
        Case("Commands", f"labelling, both mirrored views, {precision}", partial(labelling, bench, precision), 25)
        for precision in ("16", "bf16")
    ]
    found.append(Case("Commands", "live detector: frames in, boxes out", partial(live, bench), 20))
    return found


def module_of(bench: Bench) -> tuple[Module, dict[str, Any]]:
    """The module of the timed detector and its config."""
    torch.manual_seed(0)
    config = compose((*bench.model, f"dataset.sequence_length={bench.steps}"))
    return Module(config).to(bench.device), config


def trained(bench: Bench) -> tuple[Module, dict[str, Any]]:
    """The module ready to be trained without a trainer, and a batch with many boxes."""
    module, config = module_of(bench)
    module.train()
    module.log = module.log_dict = lambda *arguments, **more: None  # type: ignore[method-assign] # there is no trainer
    return module, empty_batch(config, bench.lanes, bench.device)


def cast_together(bench: Bench, precision: str) -> Result:
    """Gradients and times with weights cast by one launch for each part, and by autocast one by one."""
    module, batch = trained(bench)
    asked = half_weights.pays

    def step(together: bool) -> None:
        module.zero_grad(set_to_none=True)
        module.train_states.clear()
        with patch.object(half_weights, "pays", asked if together else lambda part: False), bench.autocast(precision):
            loss = module.training_step(batch, 0)
        loss.backward()

    gradients = []
    for together in (True, False):
        step(together)
        gradients.append(torch.cat([w.grad.flatten() for w in module.parameters() if w.grad is not None]))
    cosine, off = float(F.cosine_similarity(*gradients, dim=0)), float((gradients[0] - gradients[1]).abs().max())
    variants = {"together": partial(step, True), "one by one": partial(step, False)}
    times = measure.alternate(variants, 2, 2 if bench.quick else 10, bench.device)
    text = "; ".join(f"{name} {milliseconds(entry)}" for name, entry in times.items())
    return Result(f"gradients' cosine {cosine:.7f}, difference {off:.1e}; {text}", cosine > 0.999)


def optimizer(bench: Bench) -> Result:
    """Weights after five steps of the fused optimiser and of the one that steps weight by weight."""
    ends = []
    for fused in (True, False):
        torch.manual_seed(0)
        network = bench.fresh(small=True).detector
        chosen = build_optimizer(network.parameters(), {"learning_rate": 1e-3, "weight_decay": 0.1, "precision": 32})
        assert chosen.defaults["fused"]
        for group in chosen.param_groups:
            group["fused"], group["foreach"] = fused, False
        for _ in range(5):
            for weight in network.parameters():
                weight.grad = torch.randn(weight.shape).to(bench.device)
            chosen.step()
        ends.append(torch.cat([weight.detach().flatten() for weight in network.parameters()]))
    off = float((ends[0] - ends[1]).abs().max())
    return Result(f"difference {off:.1e}", off < 1e-5)


def training_step(bench: Bench, precision: str) -> Result:
    """Time, launches and waits of ``Module.training_step`` and its backward pass on a batch with many boxes."""
    module, batch = trained(bench)
    adam = module.configure_optimizers()["optimizer"]  # type: ignore[index, call-overload]

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        with bench.autocast(precision):
            loss = module.training_step(batch, 0)
        loss.backward()
        adam.step()

    times = measure.alternate({"": step}, 3, 2 if bench.quick else 10, bench.device)[""]
    waits = synchronisations(step, bench.device)
    calls = launches(step, bench.device)
    places = ", ".join(f"{place} ×{count}" for place, count in waits.most_common(8))
    started = sum(calls[name] for name in LAUNCHES)
    return Result(f"{milliseconds(times)}; {started} launches; {waits.total()} waits {f'({places})' if places else ''}")


def labelling(bench: Bench, precision: str) -> Result:
    """A chunk of 32 lanes and their mirrored views, detected on every frame, and its parts."""
    module, _ = module_of(bench)
    module.eval()
    lanes = 1 if bench.quick else 32
    frames = bench.fresh().frames(bench.steps, lanes, padded=False)
    is_first = torch.zeros(2 * lanes, dtype=torch.bool, device=bench.device)
    settings = module.config["model"]["postprocess"]

    @torch.inference_mode()
    def whole() -> tuple[list[list[Tensor]], Any]:
        with bench.autocast(precision):
            return module.detect_sequence(hflip_lanes(FrameInputs(frames)).data, None, is_first)

    @torch.inference_mode()
    def network() -> Tensor:
        with bench.autocast(precision):
            features, _ = module.features(hflip_lanes(FrameInputs(frames)).data, None)
            every = torch.arange(2 * lanes * bench.steps, device=bench.device)
            return module.mdl.predictions(module.mdl.select(features, every))

    predictions = network()
    scores = (predictions[:64, :, Output.OBJECTNESS] * predictions[:64, :, Output.CLASSES].amax(-1)).flatten().float()
    share = min(KEPT_BOXES / predictions.shape[1], 0.5)
    settings["confidence_threshold"] = float(scores.cpu().quantile(1 - share))
    detections, _ = whole()
    found = sum(len(boxes) for row in detections for boxes in row) / (2 * lanes * bench.steps)
    times = measure.alternate({"all": whole, "network": network}, 1, 2 if bench.quick else 3, bench.device)
    speed = bench.steps * lanes / times["all"].median
    text = "; ".join(f"{name} {milliseconds(entry)}" for name, entry in times.items())
    finite = bool(torch.isfinite(predictions).all())
    figures = f"{bench.steps} frames of {lanes} lanes and their mirror images: {speed:.0f} frames/s; {text}; "
    return Result(f"{figures}{found:.0f} boxes a view", finite)


def live(bench: Bench) -> Result:
    """``StreamingDetector`` with and without its CUDA graph on the same frames."""
    module, config = module_of(bench)
    config["model"]["postprocess"]["confidence_threshold"] = 1e-5
    frames = bench.fresh().frames(8, 1, padded=False)[:, 0].cpu().numpy()
    detectors = {"by default": StreamingDetector(module, config, str(bench.device))}
    if bench.device.type == "cuda":
        detectors["without graph"] = StreamingDetector(module, config, str(bench.device), cuda_graph=False)
    boxes = [[detector.step(frame).to_array() for frame in frames] for detector in detectors.values()]
    same = all(a.shape == b.shape and np.allclose(a, b, atol=1e-2) for a, b in zip(boxes[0], boxes[-1], strict=True))
    variants = {name: partial(detector.step, frames[0]) for name, detector in detectors.items()}
    times = measure.alternate(variants, 3, 2 if bench.quick else 30, bench.device)
    text = "; ".join(f"{name} {milliseconds(entry)}" for name, entry in times.items())
    return Result(f"{text}; {len(boxes[0][-1])} boxes; the same: {'yes' if same else 'no'}", same)
