"""Checks of single layers on a GPU: the LSTM, attention of many windows, suppression, and equality with the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from models.detection.yolox.columns import Output
from models.detection.yolox.postprocess import postprocess
from models.layers import cudnn
from models.layers.attention import MAX_WINDOWS, attend
from models.layers.config import LstmConfig
from models.layers.lstm import ConvLstm
from scripts.benchmark import measure
from scripts.benchmark.gpu.report import Case, Result
from scripts.benchmark.gpu.subject import Bench, milliseconds, synchronisations

TOLERANCES = {"32": 2e-5, "16": 5e-3, "bf16": 4e-2}
"""Of a hidden state, which lies within -1 and 1, against the loop in float32."""

GPU_AGAINST_CPU = 1e-4
"""Largest difference of features, in their largest value, in float32."""


def cases(bench: Bench) -> list[Case]:
    """All checks of layers, in order."""
    sizes = ((3, 40, 8), (2, 130, 8)) if bench.quick else ((21, 40_960, 48), (5, 368_640, 48))
    found = [
        Case("LSTM", f"{precision}, {size[0]} steps of {size[1]} pixels", partial(lstm, bench, precision, *size), 8)
        for size in sizes
        for precision in measure.PRECISIONS
    ]
    large, (_, pixels, dim) = sizes[1], sizes[0]
    found += [
        Case("LSTM", f"{precision}, {large[1]} pixels in one call", partial(lstm_whole, bench, precision, *large), 8)
        for precision in measure.PRECISIONS
    ]
    pixels //= 8
    found += [
        Case("LSTM", f"{precision}, one step of {pixels} pixels", partial(one_step, bench, precision, pixels, dim), 4)
        for precision in ("32", "16")
    ]
    found.append(Case("Equality", "detector on the GPU and the CPU, float32", partial(equality, bench), 15))
    windows = (20, 8) if bench.quick else (86_016, MAX_WINDOWS)
    found += [
        Case("Attention", f"{precision}, {windows[0]} windows", partial(many_windows, bench, precision, *windows), 5)
        for precision in measure.PRECISIONS
    ]
    whole = partial(windows_whole, bench, windows[0])
    found.append(Case("Attention", f"16, {windows[0]} windows in one call of torch's", whole, 5))
    found.append(Case("Suppression", "thresholds and NMS of a batch", partial(suppression, bench), 10))
    return found


@contextmanager
def full_float32() -> Iterator[None]:
    """No TF32 within: float32 products and convolutions in float32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def lstm(bench: Bench, precision: str, steps: int, pixels: int, dim: int) -> Result:
    """Fused LSTM against the loop: types, difference, times forward and backward."""
    torch.manual_seed(0)
    layer = ConvLstm(dim, LstmConfig()).to(bench.device)
    x = torch.randn(steps, 1, 1, pixels, dim, device=bench.device)
    state = tuple(torch.randn(1, dim, 1, pixels, device=bench.device) * 0.3 for _ in range(2))
    assert len(state) == 2

    def forward(fused: bool, precision: str) -> tuple[Tensor, Tensor]:
        layer.fused = fused
        with bench.autocast(precision):
            outputs, (_, cell) = layer(x, state)
        return outputs, cell

    def step(fused: bool) -> Callable[[], None]:
        def run() -> None:
            layer.zero_grad(set_to_none=True)
            forward(fused, precision)[0].float().square().mean().backward()

        return run

    with full_float32():
        with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            expected = forward(False, "32")
            outputs, cell = forward(True, precision)
        said = "".join(f"; says: {str(entry.message)[:80]}" for entry in caught)
        difference = max(float((a.float() - b).abs().max()) for a, b in zip((outputs, cell), expected, strict=True))
        gradients = []
        for fused in (False, True):
            step(fused)()
            weight = layer.conv1x1.weight.grad
            assert weight is not None
            gradients.append(weight.flatten())
        cosine = float(F.cosine_similarity(*gradients, dim=0))
        del expected, gradients
        times = measure.alternate({"fused": step(True), "loop": step(False)}, 1, 2 if bench.quick else 7, bench.device)
    wanted = measure.PRECISIONS[precision]
    if bench.device.type == "cpu" and wanted == torch.float16:
        wanted = torch.float32  # a CPU has no fused LSTM in float16
    passed = {outputs.dtype, cell.dtype} == {wanted} and difference < TOLERANCES[precision] and cosine > 0.99
    speeds = "; ".join(f"{name} {milliseconds(entry)}" for name, entry in times.items())
    types = f"{outputs.dtype}, {cell.dtype}".replace("torch.", "")
    return Result(f"{types}; difference {difference:.1e}, gradients' cosine {cosine:.6f}; {speeds}{said}", passed)


def lstm_whole(bench: Bench, precision: str, steps: int, pixels: int, dim: int) -> Result:
    """As :func:`lstm`, with all pixels in one call however many they are: whether the limit is needed, or costs."""
    with patch.object(cudnn, "MAX_PIXELS", pixels):
        result = lstm(bench, precision, steps, pixels, dim)
    return Result(result.figures)


def one_step(bench: Bench, precision: str, pixels: int, dim: int) -> Result:
    """One frame without gradients, as in a stream: fused against the loop."""
    layer = ConvLstm(dim, LstmConfig()).to(bench.device).eval()
    x = torch.randn(1, 1, 1, pixels, dim, device=bench.device)
    state = (torch.zeros(1, dim, 1, pixels, device=bench.device),) * 2

    @torch.no_grad()
    def run(fused: bool) -> None:
        layer.fused = fused
        with bench.autocast(precision):
            layer(x, state)

    variants = {"fused": partial(run, True), "loop": partial(run, False)}
    times = measure.alternate(variants, 3, 2 if bench.quick else 50, bench.device)
    return Result("; ".join(f"{name} {milliseconds(entry)}" for name, entry in times.items()))


def equality(bench: Bench) -> Result:
    """Features, predictions, losses and gradients of the same weights and frames."""
    results = []
    with full_float32():
        for device in (torch.device("cpu"), bench.device):
            subject = bench.fresh("model.backbone.attention.ls_init_value=0.5", device=device, small=True)
            features, _ = subject.detector.forward_sequence(subject.frames(3, 2))
            chosen = {stage: maps.flatten(0, 1) for stage, maps in features.items()}
            predictions, losses = subject.detector.forward_detect(chosen, subject.targets(6))
            assert losses is not None
            weights = list(subject.detector.parameters())
            grads = torch.autograd.grad(losses["loss"], weights, allow_unused=True)
            grad = torch.cat([part.flatten() for part in grads if part is not None])
            results.append([part.detach().cpu().double() for part in (features[4], predictions, losses["loss"], grad)])
    (feature, prediction, loss, grad), (feature_b, prediction_b, loss_b, grad_b) = results
    off = [float((a - b).abs().max() / a.abs().max()) for a, b in ((feature, feature_b), (prediction, prediction_b))]
    cosine = float(F.cosine_similarity(grad, grad_b, dim=0))
    change = float((loss - loss_b).abs() / loss)
    figures = f"relative to the largest: features {off[0]:.1e}, predictions {off[1]:.1e}; "
    figures += f"loss {change:.1e}; gradients' cosine {cosine:.7f}"
    return Result(figures, max(off) < GPU_AGAINST_CPU and change < 1e-3 and cosine > 0.999)


def _qkv(bench: Bench, precision: str, windows: int) -> Tensor:
    tokens = 6 if bench.quick else 80
    draw = torch.randn(3, windows, 2, tokens, 24, device=bench.device, dtype=measure.PRECISIONS[precision])
    return draw.requires_grad_()


def _attention_error(qkv: Tensor, out: Tensor) -> float:
    """Largest difference at the first and last windows from the formula in float32."""
    error = 0.0
    for part in (slice(None, 4), slice(-4, None)):
        q, k, v = qkv.detach()[:, part].float().unbind(0)
        expected = ((q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5).softmax(-1) @ v
        error = max(error, float((out.detach()[part].float() - expected).abs().max()))
    return error


def many_windows(bench: Bench, precision: str, windows: int, most: int) -> Result:
    """Attention in groups, forward and backward, against the formula."""
    qkv = _qkv(bench, precision, windows)
    with full_float32():
        out = attend(qkv, most)
        (grad,) = torch.autograd.grad(out.float().sum(), qkv)
        error = _attention_error(qkv, out)
        finite = bool(torch.isfinite(grad).all())
        times = measure.alternate({"": lambda: attend(qkv, most)}, 1, 3, bench.device)[""]
    tolerance = {"32": 1e-4, "16": 5e-3, "bf16": 4e-2}[precision]
    return Result(f"difference {error:.1e}; forward {milliseconds(times)}", error < tolerance and finite)


def windows_whole(bench: Bench, windows: int) -> Result:
    """What torch does with more windows than a grid's third dimension: a figure, not a goal."""
    qkv = _qkv(bench, "16", windows)
    out = attend(qkv, windows)
    (grad,) = torch.autograd.grad(out.float().sum(), qkv)
    finite = bool(torch.isfinite(grad).all())
    return Result(f"taken; difference {_attention_error(qkv, out):.1e}; gradients finite: {finite}")


def suppression(bench: Bench) -> Result:
    """Time and waits of :func:`postprocess` for as many frames as a labelling batch has; rows equal to the CPU's."""
    frames, anchors = (4, 50) if bench.quick else (256, 1680)
    draw = torch.rand(frames, anchors, 7, generator=torch.Generator().manual_seed(0)).to(bench.device)
    draw[..., Output.CENTRE] *= 250
    draw[..., Output.SIZE] = 10 + 60 * draw[..., Output.SIZE]
    run = partial(postprocess, draw, 2, 0.5, 0.45)
    found, expected = [rows.cpu() for rows in run()], postprocess(draw.cpu(), 2, 0.5, 0.45)
    kept = sum(len(rows) for rows in found)
    same = all(a.shape == b.shape and torch.allclose(a, b) for a, b in zip(found, expected, strict=True))
    times = measure.alternate({"": run}, 1, 2 if bench.quick else 5, bench.device)[""]
    waits = synchronisations(run, bench.device)
    figures = f"{frames} frames of {anchors} anchors, {kept / frames:.0f} kept a frame: {milliseconds(times)}, "
    figures += f"{1000 * times.median / frames:.2f} ms a frame, {waits.total()} waits for the device; "
    return Result(f"{figures}rows as on the CPU: {'yes' if same else 'no'}", same)
