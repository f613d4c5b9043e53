"""VRT with spikes at the smallest sizes: what is refused, what loads, what chunks and padding leave as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.registry import spec_of
from models.restoration.vrt_spike import temporal
from models.restoration.vrt_spike.restorer import VrtSpike
from models.weights import load_tensors
from modules.weights.files import read_state_dict
from utils.errors import UserError

SECTION: dict[str, Any] = {
    "vrt": {
        "embed_dim": 8,
        "late_dim": 8,
        "depths": [2, 2, 2, 2, 2, 2, 2, 1, 1],
        "num_heads": 2,
        "window": [2, 2, 2],
        "mutual_share": 0.5,
        "mlp_ratio": 1,
        "drop_path": 0.1,
        "deformable_groups": 2,
        "single_frame_stages": [8],
        "flow": "zero",
    },
    "spikes": {
        "enable": True,
        "bins": 4,
        "num_heads": 2,
        "mlp_ratio": 1,
        "temporal_strides": [1, 1, 1],
        "logarithm": True,
        "mean": 0.5,
        "std": 2.0,
        "fuse_zero_init": False,
    },
    "loss": {"delta": 0.001},
}
"""Frames of 16x16 pixels are the smallest that it takes."""


def network(seed: int = 0, **more: Any) -> VrtSpike:
    """With other values where ``more`` says so, as ``vrt__flow="spynet"``."""
    section = {name: dict(values) for name, values in SECTION.items()}
    for key, value in more.items():
        part, _, name = key.partition("__")
        section[part][name] = value
    torch.manual_seed(seed)
    built = spec_of("vrt_spike").build(section)
    assert isinstance(built, VrtSpike)
    return built


def clip(frames: int = 3, height: int = 16, width: int = 16, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(1)
    blurred = torch.rand(batch, frames, 3, height, width, generator=drawn)
    return blurred, torch.randint(0, 5, (batch, frames, 4, height, width), generator=drawn).float()


@pytest.mark.parametrize("flow", ["zero", "spynet"])
def test_the_loss_reaches_every_weight_that_is_trained(flow: str) -> None:
    model = network(vrt__flow=flow, vrt__checkpoint_blocks=flow == "zero").train()
    for stage in range(1, 8):  # their last layer starts at zero, and lets nothing through to those before it
        torch.nn.init.normal_(model.vrt.get_submodule(f"stage{stage}").pa_deform.conv_offset[-1].weight, std=0.1)
    blurred, spikes = clip()
    model.losses(model.restore(blurred, spikes), blurred.flip(-1))["loss"].backward()
    without = {name for name, weight in model.named_parameters() if weight.grad is None}
    assert without == {name for name, _ in model.named_parameters() if flow == "zero" and "spynet" in name}
    assert all(weight.requires_grad == (name not in without) for name, weight in model.named_parameters())


def test_half_types_come_near() -> None:
    model, (blurred, spikes) = network().eval(), clip(2)
    with torch.no_grad():
        exact = model.restore(blurred, spikes)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(model.restore(blurred, spikes).float(), exact, atol=0.05, rtol=0)


def test_gradients_in_half_types_are_numbers_where_time_is_short() -> None:
    model, (blurred, spikes) = network(), clip(2)
    for _ in range(3):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model.losses(model.restore(blurred, spikes), blurred.flip(-1))["loss"].backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


def test_spikes_matter_and_with_zero_init_not_yet() -> None:
    blurred, spikes = clip()
    with torch.no_grad():
        open_fusion, closed = network().eval(), network(spikes__fuse_zero_init=True).eval()
        assert not torch.equal(open_fusion.restore(blurred, spikes), open_fusion.restore(blurred, spikes + 1))
        assert torch.equal(closed.restore(blurred, spikes), closed.restore(blurred, spikes + 1))
        assert torch.equal(closed.restore(blurred, spikes), closed.vrt(blurred))


def test_frames_come_out_as_they_went_in_where_that_is_asked_for() -> None:
    blurred, spikes = clip(2)
    with torch.no_grad():
        assert torch.equal(network(vrt__identity_init=True).restore(blurred, spikes), blurred)


def test_frames_of_any_size_are_mirrored_to_one_that_fits() -> None:
    model = network().eval()
    blurred, spikes = clip(2, 13, 21)
    with torch.no_grad():
        assert model.restore(blurred, spikes).shape == (1, 2, 3, 13, 21)
        tiny = model.restore(blurred[..., :3, :1], spikes[..., :3, :1])
    assert tiny.shape == (1, 2, 3, 3, 1)
    assert bool(tiny.isfinite().all())


def test_squares_of_pixels_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (blurred, spikes) = network().eval(), clip(2, 24, 16)
    with torch.no_grad():
        whole = model.restore(blurred, spikes)
        monkeypatch.setattr(temporal, "MAX_SIDE", 5)
        torch.testing.assert_close(model.restore(blurred, spikes), whole, atol=1e-6, rtol=1e-5)


def test_spikes_may_be_shorter_in_time_inside() -> None:
    blurred, spikes = clip(4)
    with torch.no_grad():
        assert network(spikes__temporal_strides=[2, 2, 1]).eval().restore(blurred, spikes).shape == blurred.shape


def test_published_weights_of_vrt_alone(tmp_path: Path) -> None:
    theirs, file = network(1).vrt.state_dict(), tmp_path / "vrt.pth"
    torch.save({"params": theirs}, file)
    state = read_state_dict(file)
    alone, model = network(spikes__enable=False), network()
    assert load_tensors(alone, state, str(file)).loaded == [f"vrt.{name}" for name in theirs]
    assert torch.equal(alone.vrt.conv_first.weight, theirs["conv_first.weight"])
    with pytest.raises(UserError, match=r"spike_bins 0; the config builds .* spike_bins 4"):
        load_tensors(model, state, str(file))
    report = load_tensors(model, state, str(file), strict=False)
    assert len(report.loaded) == len(theirs)
    assert {name.split(".")[0] for name in report.fresh} == {"spike_encoder", "spike_temporal_sa", "cross_attn_fuse"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vrt__depths", [2, 2, 2]),
        ("vrt__depths", 2),
        ("vrt__depths", [2, 2, 2, 2, 2, 2, 2, 0.5]),
        ("vrt__window", [6, 8, 4]),
        ("vrt__window", "688"),
        ("vrt__embed_dim", 7),
        ("vrt__deformable_groups", 3),
        ("vrt__flow", "raft"),
        ("vrt__drop_path", 1.0),
        ("vrt__single_frame_stages", [3]),
        ("vrt__single_frame_stages", [9]),
        ("vrt__single_frame_stages", [8, 8]),
        ("vrt__num_heads", 0),
        ("vrt__mutual_share", 2.0),
        ("vrt__mlp_ratio", 0),
        ("spikes__bins", 0),
        ("spikes__num_heads", 3),
        ("spikes__temporal_strides", [1, 1]),
        ("spikes__temporal_strides", [1, 1, True]),
        ("spikes__std", 0.0),
        ("loss__delta", 0),
    ],
)
def test_what_cannot_be_is_told_with_its_key(key: str, value: object) -> None:
    with pytest.raises(UserError) as mistake:
        network(**{key: value})
    assert mistake.value.where == f"model.{key.replace('__', '.')}"


def test_clips_that_do_not_fit() -> None:
    blurred, spikes = clip()
    model = network()
    with pytest.raises(UserError, match="3 frames in 3 bins"):
        model.restore(blurred, spikes[:, :, :3])
    with pytest.raises(UserError, match=r"got: +none"):
        model.restore(blurred, None)
    with pytest.raises(UserError, match="1 frames of 16x16"):
        model.restore(blurred[:, :1], spikes[:, :1])
    given = network(vrt__flow="given")
    with pytest.raises(UserError, match=r"got: +none"):
        given.restore(blurred, spikes)
    with pytest.raises(UserError, match="clips hold none") as mistake:
        given.check_alone()
    assert mistake.value.fix == "set model.vrt.flow=zero, or model.vrt.flow=spynet"
    model.check_alone()
