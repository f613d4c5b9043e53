"""The streaming detector against the module's own detection of a sequence; states in the caller's hands."""

from __future__ import annotations

import hydra
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from config.compose import compose
from config.resolvers import register_resolvers
from data.events.types import Events
from data.representations.factory import make_representation
from models.detection.streaming import StreamingStep, flatten_states
from modules.detection import Module
from modules.live.streaming_detector import StreamingDetector
from tests.helpers.commands import SMALL
from tests.modules.weights.test_weights_module import reference_file
from utils.commands.cli import CONFIG_DIR
from utils.errors import UserError


def configured(*overrides):
    register_resolvers()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return OmegaConf.to_container(hydra.compose("train", overrides=[*SMALL, *overrides]), resolve=True)


def checkpoint_of(config, path):
    torch.manual_seed(0)
    module = Module(config).eval()
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": {"config": config}}, path)
    return module


def sequence(shape, steps=4):
    return np.minimum(np.random.default_rng(0).poisson(0.2, (steps, *shape)), 10).astype(np.uint8)


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.backbone.enable_masking=true", "dataset.sensor_hw=[120,150]"),
        ("model=rnndet-timm", "model.backbone.timm_name=resnet10t", "model.backbone.recurrence=convgru"),
        ("model=rnndet-timm", "model.backbone.timm_name=resnet10t", "model.backbone.recurrence=none"),
    ],
)
def test_steps_give_what_the_module_gives_for_the_sequence(tmp_path, overrides):
    module = checkpoint_of(configured(*overrides), tmp_path / "a.ckpt")
    detector = StreamingDetector.from_checkpoint(tmp_path / "a.ckpt", confidence_threshold=0.0001)
    frames = torch.from_numpy(sequence(detector.frame_shape))
    with torch.no_grad():
        features, last = module.features(frames[:, None], None)
        expected, _ = module.mdl.forward_detect({stage: feature[:, 0] for stage, feature in features.items()})
        for frame, wanted in zip(frames, expected, strict=True):
            predictions, *_ = detector.network(frame[None], *detector.states)
            torch.testing.assert_close(predictions[0], wanted, atol=1e-4, rtol=1e-4)
            boxes = detector.step(frame.numpy())
            assert boxes.shape[1] == 7
            assert len(boxes) > 0
    torch.testing.assert_close(detector.states, flatten_states(last), atol=1e-5, rtol=1e-5)


def test_states_belong_to_the_caller(tmp_path):
    checkpoint_of(configured(), tmp_path / "a.ckpt")
    detector = StreamingDetector.from_checkpoint(tmp_path / "a.ckpt", confidence_threshold=0.0001)
    first, second = sequence(detector.frame_shape, 2)
    detector.step(first)
    kept = detector.states
    once = detector.step(second)
    again, states = detector.step_from(second, kept)
    np.testing.assert_array_equal(once, again)
    assert all(torch.equal(a, b) for a, b in zip(states, detector.states, strict=True))
    for wrong in ([], None, states[:-1], [*states[1:], states[0]]):
        with pytest.raises(UserError, match="states of this detector"):
            detector.step_from(second, wrong)
    detector.reset()
    assert not any(state.any() for state in detector.states)


def test_events_become_the_frame_of_the_checkpoint(tmp_path):
    config = configured()
    checkpoint_of(config, tmp_path / "a.ckpt")
    detector = StreamingDetector.from_checkpoint(tmp_path / "a.ckpt", confidence_threshold=0.0001)
    rng = np.random.default_rng(1)
    n = 4000
    events = Events.from_arrays(np.sort(rng.integers(0, 50_000, n)), *(rng.integers(0, k, n) for k in (160, 128, 2)))
    form = config["dataset"]["representation"]
    builder = make_representation(form["kind"], form["bins"], form["count_cutoff"], form["dt_ms"])
    frame = builder.build(events, 128, 160, config["dataset"]["downsample_by_factor_2"])
    found = detector.step(events)
    detector.reset()
    np.testing.assert_array_equal(found, detector.step(frame))
    # The sensor has 160 columns, the frame 80: boxes are the sensor's unless the frame's are asked for.
    inside = StreamingDetector.from_checkpoint(tmp_path / "a.ckpt", confidence_threshold=0.0001, pixels="frame")
    np.testing.assert_array_equal(found, inside.step(frame).to_array() * ([2] * 4 + [1] * 3))
    assert 100 < found[:, 2].max() < 250
    with pytest.raises(UserError, match=r"channels, height, width"):
        detector.step(frame[:, 1:])


def test_lanes_do_not_touch_each_other():
    module = Module(configured())
    network = StreamingStep(module.mdl, (64, 80))
    frames = torch.from_numpy(sequence((20, 64, 80), 2))
    with torch.no_grad():
        together = network(frames, *network.initial_states(2))
        for lane in range(2):
            alone = network(frames[lane : lane + 1], *network.initial_states(1))
            for both, one in zip(together, alone, strict=True):
                torch.testing.assert_close(both[lane : lane + 1], one, atol=1e-4, rtol=1e-4)


DEEP = (
    "model.backbone.num_blocks=[1,2,1,1]",
    "model.backbone.lstm.dws_conv=true",
    "model.backbone.lstm.dws_conv_only_hidden=false",
    "model.backbone.lstm.dws_conv_kernel_size=5",
    "model.backbone.enable_masking=true",
    "model.backbone.attention.mlp_gated=true",
    "model.fpn.depth=0.67",
)


@pytest.mark.parametrize("overrides", [(), DEEP])
def test_published_weights_take_their_size_from_the_file_and_the_rest_from_the_config(tmp_path, overrides):
    config = configured("+experiment/gen1=tiny", *overrides)
    torch.manual_seed(0)
    module = Module(config).eval()
    reference_file(tmp_path / "rvt.ckpt", module)
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": {"config": config}}, tmp_path / "own.ckpt")
    with pytest.raises(UserError, match="dataset=gen1") as caught:
        StreamingDetector.from_checkpoint(tmp_path / "rvt.ckpt")
    assert "for 2 classes and 20 input channels" in caught.value.got
    heads = ("model.backbone.embed_dim=32", "model.backbone.attention.dim_head=32") if overrides else ()
    composed = compose([*SMALL, *heads])
    published = StreamingDetector.from_checkpoint(tmp_path / "rvt.ckpt", None, "cpu", 0.0001, composed)
    own = StreamingDetector.from_checkpoint(tmp_path / "own.ckpt", confidence_threshold=0.0001)
    assert composed == compose([*SMALL, *heads])
    for frame in sequence(own.frame_shape, 2):
        np.testing.assert_array_equal(published.step(frame), own.step(frame))
    with pytest.raises(UserError, match="leave the overrides out"):
        StreamingDetector.from_checkpoint(tmp_path / "own.ckpt", config=composed)
    message = r"RVT-T for 2 classes; the config builds RVT-T for 3" if not overrides else "attention.dim_head"
    with pytest.raises(UserError, match=message):
        StreamingDetector.from_checkpoint(tmp_path / "rvt.ckpt", config=compose(["dataset=gen4"]))


def test_cuda_graphs_need_cuda_and_half_precision_keeps_the_states_type(tmp_path):
    checkpoint_of(configured(), tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="a CUDA device for a CUDA graph"):
        StreamingDetector.from_checkpoint(tmp_path / "a.ckpt", cuda_graph=True)
    full = StreamingDetector.from_checkpoint(tmp_path / "a.ckpt", cuda_graph=False)
    half = StreamingDetector.from_checkpoint(tmp_path / "a.ckpt", precision=torch.bfloat16)
    for frame in sequence(full.frame_shape, 2):
        full.step(frame)
        half.step(frame)
    for a, b in zip(half.states, full.states, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=5e-2, rtol=0)
