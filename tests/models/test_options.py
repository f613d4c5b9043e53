"""Every option of the backbone by itself: drop path, cell dropout, gated MLP, checkpointing, compilation, precision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models import compilation
from models.detection.cuda_graph import GraphedStep, graphed, record_cuda_graph
from models.detection.recurrent_backbone.base import BaseDetector
from models.detection.recurrent_backbone.config import BackboneConfig, CompileConfig
from models.detection.recurrent_backbone.maxvit_rnn import RNNDetector
from models.detection.recurrent_backbone.maxvit_stage import attend_frames
from models.detection.rnndet.config import DetectorConfig
from models.detection.rnndet.detector import YoloXDetector
from models.detection.yolox.config import FpnConfig, HeadConfig
from models.layers.attention import DropPath, LayerScale
from models.layers.config import AttentionConfig, LstmConfig
from utils.errors import UserError

PLAIN = BackboneConfig(
    embed_dim=16,
    in_res_hw=(64, 96),
    partition_size=(2, 3),
    input_channels=6,
    attention=AttentionConfig(dim_head=8, ls_init_value=0.5),
)
DEEP = replace(PLAIN, num_blocks=(2, 3, 3, 2), T_max_chrono_init=(10, 20, 40, 80), lstm=LstmConfig(dws_conv=True))
GATED = replace(PLAIN, attention=replace(PLAIN.attention, mlp_gated=True))
MASKED = replace(PLAIN, enable_masking=True)
BOTH = LstmConfig(dws_conv=True, dws_conv_only_hidden=False)
RANDOM = replace(
    GATED,
    enable_masking=True,
    attention=replace(GATED.attention, drop_path=0.3, drop_mlp=0.2),
    lstm=LstmConfig(drop_cell_update=0.2),
)


def build(cfg, seed=0):
    torch.manual_seed(seed)
    return RNNDetector(cfg)


def frames(steps=3, lanes=2, seed=0):
    return torch.randint(0, 5, (steps, lanes, 6, 64, 96), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def padding_of(rows):
    mask = torch.zeros(1, 64, 96, dtype=torch.bool)
    mask[:, rows:] = True
    return mask


@pytest.mark.parametrize("cfg", [DEEP, GATED, replace(RANDOM, enable_masking=False)], ids=["deep", "gated", "random"])
def test_sequence_equals_frame_loop(cfg):
    model = build(cfg).eval()
    x = frames()
    with torch.no_grad():
        fast, fast_states = model.forward_sequence(x)
        slow, slow_states = BaseDetector.forward_sequence(model, x.float())
    for stage in fast:
        torch.testing.assert_close(fast[stage], slow[stage], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(fast_states[stage - 1], slow_states[stage - 1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cfg", [PLAIN, DEEP, replace(GATED, lstm=BOTH), MASKED], ids=["plain", "deep", "both", "mask"])
def test_plain_arithmetic_gives_the_same_numbers_and_gradients(cfg):
    fast, plain = build(cfg), build(replace(cfg, plain_arithmetic=True))
    plain.load_state_dict(fast.state_dict(), strict=True)
    mask = padding_of(48) if cfg.enable_masking else None
    results = []
    for model in (fast, plain):
        _, states = model.forward_sequence(frames(1, seed=1), None, mask)
        features, states = model.forward_sequence(frames(), states, mask)
        grads = torch.autograd.grad(sum(f.square().mean() for f in features.values()), list(model.parameters()))
        results.append([*features.values(), *(tensor for pair in states for tensor in pair), *grads])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("faster", [{"use_gradient_checkpointing": True}, {"compile": CompileConfig(enable=True)}])
def test_plain_arithmetic_stands_alone(faster):
    with pytest.raises(UserError, match="off beside plain_arithmetic"):
        replace(PLAIN, plain_arithmetic=True, **faster)


def test_drop_path_drops_whole_frames_and_keeps_the_mean():
    layer = DropPath(0.25)
    x = torch.ones(4000, 2, 3)
    torch.manual_seed(0)
    out = layer(x)
    per_frame = out.flatten(1)
    assert ((per_frame == 0).all(1) | torch.isclose(per_frame, torch.tensor(1 / 0.75)).all(1)).all()
    assert float(out.mean()) == pytest.approx(1.0, abs=0.03)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("what", ["drop_path", "drop_mlp", "drop_cell_update"])
def test_drops_act_in_training_alone_and_follow_the_seed(what):
    if what == "drop_cell_update":
        cfg = replace(PLAIN, lstm=LstmConfig(drop_cell_update=0.5))
    else:
        cfg = replace(PLAIN, attention=replace(PLAIN.attention, **{what: 0.5}))
    model, plain = build(cfg), build(PLAIN)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(model.forward_sequence(frames())[0][4])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    with torch.no_grad():
        assert torch.equal(model.eval().forward_sequence(frames())[0][4], plain.eval().forward_sequence(frames())[0][4])


def test_checkpointing_gives_the_same_bytes_even_with_randomness_and_masks():
    results = []
    for use in (False, True):
        model = build(replace(RANDOM, use_gradient_checkpointing=use))
        torch.manual_seed(5)
        features, states = model.forward_sequence(frames(), None, padding_of(48))
        loss = sum(f.square().mean() for f in features.values()) + states[3][1].sum()
        results.append([features[4], *torch.autograd.grad(loss, list(model.parameters()))])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_mask_token_learns_from_padded_tokens_alone():
    model = build(replace(PLAIN, enable_masking=True))
    for rows, learns in ((48, True), (64, False)):
        features, _ = model.forward_sequence(frames(), None, padding_of(rows))
        (grad,) = torch.autograd.grad(features[4].sum(), [model.stages[0].mask_token])
        assert bool(grad.abs().sum() > 0) == learns


def test_gated_mlp_has_the_width_of_the_formula():
    inner = build(GATED).stages[3].att_blocks[0].att_window.mlp.net[2].in_features
    assert inner == int(128 * 4 * 2 / 3) // 32 * 32


def test_chrono_biases_of_every_stage():
    for stage, t_max in zip(build(DEEP).stages, (10, 20, 40, 80), strict=True):
        dim = stage.lstm.dim
        bias = stage.lstm.conv1x1.bias.detach()
        torch.testing.assert_close(bias[:dim], torch.full((dim,), float(t_max)).log())
        torch.testing.assert_close(bias[dim : 2 * dim], -torch.full((dim,), float(t_max)).log())


@pytest.mark.parametrize(
    ("cfg", "training"), [(PLAIN, False), (replace(GATED, enable_masking=True), True)], ids=["plain", "gated"]
)
def test_no_graph_break_in_any_stage_body(cfg, training):
    model = build(cfg).train(training)
    x = frames()[:, 0].float()
    for index, stage in enumerate(model.stages[:2]):  # the others are as the second, with more channels
        mask = padding_of(48)[:, ::4, ::4].expand(len(x), -1, -1) if cfg.enable_masking and index == 0 else None
        found = torch._dynamo.explain(attend_frames)(stage, x, mask)
        assert found.graph_break_count == 0, found.break_reasons
        assert found.graph_count == 1
        x = attend_frames(stage, x, mask).permute(0, 3, 1, 2).detach()
    torch._dynamo.reset()


def test_no_graph_break_in_a_whole_stage_of_one_frame():
    stage = build(PLAIN).eval().stages[0]
    with torch.no_grad():
        found = torch._dynamo.explain(stage)(frames()[:1].float(), None)
    torch._dynamo.reset()
    assert found.graph_break_count == 0, found.break_reasons


@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_by_config_gives_the_same_numbers_and_names(monkeypatch, checkpointing):
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    compilation.compiled.cache_clear()
    plain = build(PLAIN)
    fast = build(replace(PLAIN, compile=CompileConfig(enable=True), use_gradient_checkpointing=checkpointing))
    assert list(fast.state_dict()) == list(plain.state_dict())
    for steps in (2,) if checkpointing else (3, 1):  # another length compiles again and stays a whole graph
        results = []
        for model in (plain, fast):
            features, _ = model.forward_sequence(frames(steps))
            results.append([features[4], *torch.autograd.grad(features[4].sum(), list(model.parameters()))])
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    compilation.compiled.cache_clear()
    torch._dynamo.reset()


def test_an_unknown_compile_mode_is_named():
    with pytest.raises(UserError) as caught:
        CompileConfig(enable=True, mode="fastest")
    assert caught.value.where == "backbone.compile.mode"


def detector():
    torch.manual_seed(0)
    return YoloXDetector(DetectorConfig(backbone=PLAIN, fpn=FpnConfig(depth=0.33), head=HeadConfig(num_classes=2)))


TARGETS = torch.tensor([[[0.0, 40, 30, 20, 20, 1, 1]], [[1.0, 20, 20, 10, 10, 1, 1]]])


@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 3e-2), (torch.float16, 4e-3)])
def test_half_precision_is_near_float32(dtype, error):
    model = detector()
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            features, states = model.forward_sequence(frames())
            features, states = model.forward_sequence(frames(seed=1), states)
            predictions, losses = model.forward_detect({stage: f[-1] for stage, f in features.items()}, TARGETS)
        grads = torch.autograd.grad(losses["loss"] * 128, list(model.parameters()), allow_unused=True)
        results.append((features[4].float(), predictions, losses["loss"], grads))
    (full, full_pred, full_loss, full_grads), (half, half_pred, half_loss, half_grads) = results
    assert half_pred.dtype == half_loss.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=error, rtol=0)
    torch.testing.assert_close(half_pred[..., 4:], full_pred[..., 4:], atol=error, rtol=error)
    torch.testing.assert_close(half_loss, full_loss, atol=0, rtol=error)
    assert [g is None for g in half_grads] == [g is None for g in full_grads]
    a, b = (torch.cat([g.flatten() for g in grads if g is not None]) for grads in (half_grads, full_grads))
    assert torch.isfinite(a).all()
    assert float(torch.cosine_similarity(a, b, dim=0)) > 1 - error


def test_a_model_cast_to_bfloat16_detects():
    model = detector().eval()
    full = model(frames()[0])[0]
    half = model.to(torch.bfloat16)(frames()[0])[0]
    assert torch.isfinite(half).all()
    torch.testing.assert_close(half[..., 4:].float(), full[..., 4:], atol=2e-2, rtol=0)


def test_cuda_graphs_fall_back_to_the_step_itself():
    def step(x):
        return (x * 2,)

    assert graphed(step, torch.ones(2)) is step


def record_on_cpu(step, inputs):
    """Stands for a CUDA graph: runs the step again on the same buffers."""
    with torch.inference_mode():
        outputs = tuple(out.clone() for out in step(*inputs))

    def replay():
        with torch.inference_mode():
            for buffer, value in zip(outputs, step(*inputs), strict=True):
                buffer.copy_(value)

    return replay, outputs


def test_a_recorded_step_runs_on_its_buffers_and_hands_out_copies():
    runs = []

    def step(x, state):
        runs.append(x.data_ptr())
        return x * 2, state + x

    x, state = torch.ones(2), torch.zeros(2)
    fast = GraphedStep(step, x, state, record=record_on_cpu)
    first, after_first = fast(x, state)
    second, after_second = fast(3 * x, after_first)
    assert first.tolist() == [2, 2]
    assert second.tolist() == [6, 6]
    assert after_first.tolist() == [1, 1]
    assert after_second.tolist() == [4, 4]
    assert len(set(runs)) == 1
    assert x.data_ptr() not in runs
    for wrong in (torch.ones(3), torch.ones(2, dtype=torch.float64)):
        with pytest.raises(ValueError, match=r"recorded for torch.float32 \(2,\)"):
            fast(wrong, state)


def test_a_recorded_detector_gives_what_the_step_gives():
    device, record = ("cuda", record_cuda_graph) if torch.cuda.is_available() else ("cpu", record_on_cpu)
    model = detector().eval().to(device)
    x = frames().to(device).float()

    def step(frame, *flat):
        states = list(zip(flat[::2], flat[1::2], strict=True))
        predictions, _, new = model(frame, states)
        return predictions, *(tensor for pair in new for tensor in pair)

    with torch.inference_mode():
        _, _, states = model(x[0], None)
        flat = [tensor for pair in states for tensor in pair]
        fast = GraphedStep(step, x[1], *flat, record=record)
        for frame in (x[1], x[2]):
            for a, b in zip(fast(frame, *flat), step(frame, *flat), strict=True):
                torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
        with pytest.raises(ValueError, match="recorded"):
            fast(x[1][:1], *flat)


@pytest.mark.parametrize("value", [-1, True, (2, 3, 4), "2"])
def test_a_window_that_is_no_height_and_width_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="a height and a width"):
        replace(PLAIN, partition_size=value)


@pytest.mark.parametrize("value", [1.5, True])
def test_a_weighting_that_is_no_name_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"head\.bbox_loss_weighting"):
        HeadConfig(num_classes=2, bbox_loss_weighting=value)  # type: ignore[arg-type] # so are the keys of a command


@pytest.mark.parametrize("value", [0, -1])
def test_layer_scale_may_begin_with_a_whole_number(value: int) -> None:
    assert LayerScale(2, value).gamma.tolist() == [value, value]
