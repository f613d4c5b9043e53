"""Labels of a teacher, frames that are made harder, the weight of what is learnt, and settings that cannot be."""

from __future__ import annotations

from copy import deepcopy
from functools import cache, reduce
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from config.compose import compose
from data.labels.batched_labels import BatchedLabels
from data.labels.object_labels import ObjectLabels
from data.payloads.frames import FrameInputs
from models.registry import ModelSpec
from modules.semi import settings as semi
from modules.semi.labels import last_frames, merge_mirrored, teacher_labels, together
from modules.semi.module import SemiModule
from modules.semi.settings import StrongSettings, checked_semi, semi_settings
from modules.semi.strong import StrongAugmentation
from tests.models.sets.test_detectors import DETR, RTDETR
from utils.boxes import IGNORE_LABEL, Label
from utils.errors import UserError

OFF: dict[str, Any] = {
    "dropout_prob": 0.0, "dropout_share": 0.5, "bins_prob": 0.0, "bins_share": 0.9, "polarity_prob": 0.0,
    "scale_prob": 0.0, "scale_factor": 1.0, "erase_prob": 0.0, "erase_patches": 2, "erase_side": 0.5,
}  # fmt: skip
CHANGES = ("dropout", "bins", "polarity", "scale", "erase")
SEMI = ("dataset=synthetic", "+experiment/synthetic=ablation", "+semi=mean_teacher")


@cache
def composed() -> dict[str, Any]:
    """Not to be changed, as every test gets the same."""
    return compose(SEMI)


def test_labels_of_a_teacher() -> None:
    found = [
        torch.tensor(
            [
                [10, 10, 30, 30, 0.9, 0.9, 0],  # certain
                [10, 10, 30, 30, 0.7, 0.7, 0],  # certain for the other class only
                [10, 10, 30, 30, 0.7, 0.7, 1],
                [10, 10, 30, 30, 0.4, 0.4, 1],  # too little for anything
                [10, 10, 13, 30, 0.9, 0.9, 1],  # too narrow
                [-9, -9, -2, -2, 0.9, 0.9, 1],  # out of the frame
            ]
        ),
        torch.zeros(0, 7),
        torch.tensor([[-5.0, 20, 40, 90, 1.0, 1.0, 1]]),  # cut at the edges
    ]
    labels = teacher_labels(found, (0.6, 0.4), 0.2, (64, 80))
    boxes = labels.boxes
    assert boxes.frame.tolist() == [0, 0, 0, 0, 2]
    assert boxes.rows[:, Label.CLASS_ID].tolist() == [0, IGNORE_LABEL, 1, IGNORE_LABEL, 1]
    assert boxes.rows[-1].tolist() == [0, 0, 20, 40, 43, 1, 1, 1]
    assert (boxes.num_frames, boxes.size_hw, labels.certain) == (3, (64, 80), 3)
    assert labels.score.tolist() == pytest.approx([(0.81 + 0.49) / 2, 1, 1])
    nothing = teacher_labels([torch.zeros(0, 7)], (0.6, 0.4), 0.2, (64, 80))
    assert (len(nothing.boxes.rows), nothing.boxes.num_frames, nothing.score.tolist()) == (0, 1, [1])
    assert teacher_labels([], (0.6, 0.4), 0.2, (64, 80)).boxes.num_frames == 0
    both = together(boxes, teacher_labels(found[2:], (0.6, 0.4), 0.2, (64, 80)).boxes, torch.tensor([0.5]))
    assert (both.frame.tolist(), both.num_frames) == ([0, 0, 0, 0, 2, 3], 4)
    assert both.weight is not None
    assert both.weight.tolist() == [1, 1, 1, 0.5]


def test_mirrored_frames_are_merged() -> None:
    plain = torch.tensor([[10.0, 10, 30, 30, 0.5, 0.5, 0]])
    mirrored = torch.tensor([[49.0, 10, 69, 30, 0.9, 0.9, 0], [0, 10, 20, 30, 0.8, 0.8, 0]])
    first, second = merge_mirrored([plain, plain[:0], mirrored, mirrored[1:]], 80, 0.45)
    assert first.tolist() == [
        pytest.approx([10, 10, 30, 30, 0.9, 0.9, 0]),
        pytest.approx([59, 10, 79, 30, 0.8, 0.8, 0]),
    ]
    assert second.tolist() == [pytest.approx([59, 10, 79, 30, 0.8, 0.8, 0])]


def test_the_last_frames_that_are_there_are_labelled() -> None:
    padded = torch.tensor([[False, False, True], [False, True, True], [False, True, True]])
    assert last_frames(padded, 2).tolist() == [1, 3, 6]
    assert last_frames(torch.ones(2, 2, dtype=torch.bool), 2).tolist() == []


def strong(*changes: str, seed: int = 0, bins: int = 4, max_count: int | None = 5) -> StrongAugmentation:
    on = {f"{change}_prob": 1.0 for change in changes}
    return StrongAugmentation(StrongSettings(**OFF | on), bins, max_count, seed)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.float16])
def test_harder_frames_are_the_same_every_time(dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 4, (3, 2, 8, 12, 16), generator=random).to(dtype)
    frames = frames if dtype == torch.uint8 else torch.where(frames > 2, -frames, frames)
    before = frames.clone()
    for change in CHANGES:
        changed = strong(change)(frames, (0, 7, 0))
        assert (changed.dtype, changed.shape) == (frames.dtype, frames.shape)
        assert not torch.equal(changed, frames), change
        assert torch.equal(changed, strong(change)(frames, (0, 7, 0))), change
        assert not torch.equal(changed, strong(change, seed=1)(frames, (0, 7, 0))) or change == "polarity"
        assert changed.abs().max() <= 5 or dtype.is_floating_point
    assert torch.equal(strong()(frames, (0, 7, 0)), frames)
    assert torch.equal(frames, before)


def test_what_harder_frames_lack() -> None:
    frames = torch.ones(3, 1, 8, 12, 16, dtype=torch.uint8)
    bins = strong("bins")(frames, (0,)).view(3, 2, 4, 12 * 16)
    assert torch.equal(bins.amin(-1), bins.amax(-1)), "whole bins"
    assert torch.equal(bins[:, 0], bins[:, 1]), "of both polarities"
    polarity = strong("polarity")(frames, (0,)).view(2 * 3, 2, -1).float().mean((0, 2))
    assert sorted(polarity.tolist()) == [0, 1] or sorted(polarity.tolist()) == [0.5, 0.5]
    erased = strong("erase")(frames, (0,)).view(-1, 12, 16)
    assert torch.equal(erased.amin(0), erased.amax(0)), "the same place in all frames and bins"
    assert 0 < float(erased[0].float().mean()) < 1
    scaled = strong("scale")(frames * 3, (0,)).float()
    assert not torch.equal(scaled, frames * 3.0)
    assert 1.4 < float(scaled.mean()) < 6.1


def lessons(monkeypatch: pytest.MonkeyPatch, *model: str) -> tuple[SemiModule, dict[str, Any]]:
    """A model that is its own teacher, and a batch of which the last two of three lanes have no labels."""
    taught = ("semi.start_step=0", "semi.warmup_steps=2", "semi.threshold=0", "semi.unsure=0")
    module, counts = SemiModule(compose([*SEMI, *taught, *model])), torch.Generator().manual_seed(0)
    module.learn_from(deepcopy(module))
    for name in ("log", "log_dict"):
        monkeypatch.setattr(module, name, lambda *arguments, **more: None)
    frames = torch.randint(0, 4, (5, 3, 20, 64, 64), generator=counts, dtype=torch.uint8)
    label = ObjectLabels(torch.tensor([[1.0, 4, 4, 16, 16, 0, 1, 1]]), (64, 64))
    labels = [[label if t == 4 else None, None, None] for t in range(5)]
    batch = {
        "inputs": FrameInputs(frames.clone()), "labels": BatchedLabels.from_lists(labels, (64, 64)), "unlabelled": 2,
        "is_first": torch.ones(3, dtype=torch.bool), "is_padded": torch.zeros(5, 3, dtype=torch.bool),
        "worker_id": 0, "position": (0, 0),
    }  # fmt: skip
    return module, batch


def test_a_lesson_leaves_labelled_lanes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module, batch = lessons(monkeypatch)
    frames = batch["inputs"].data.clone()
    shown, indices, boxes = module.lesson(batch)
    again, _, _ = module.lesson(batch)
    other, _, _ = module.lesson({**batch, "position": (0, 1)})
    assert torch.equal(batch["inputs"].data, frames)
    assert torch.equal(shown[:, :1], frames[:, :1])
    assert torch.equal(again, shown)
    assert not torch.equal(other, shown)
    assert indices.tolist() == [12, 10, 11, 13, 14], "of two frames of each lane without labels"
    assert boxes.weight is not None
    assert boxes.weight.tolist() == [1, 0.5, 0.5, 0.5, 0.5]
    assert (boxes.frame == 0).sum() == 1
    assert {name.split(".")[0] for name in module.state_dict()} == {"mdl"}, "the teacher is none of its parts"


@pytest.mark.parametrize("model", [DETR, RTDETR])
def test_sets_of_boxes_are_taught_too(monkeypatch: pytest.MonkeyPatch, model: tuple[str, ...]) -> None:
    module, batch = lessons(monkeypatch, *model)
    module.training_step(batch, 0).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in module.parameters())


def test_weight_grows_after_the_start() -> None:
    config = compose([*SEMI, "semi.start_step=10", "semi.warmup_steps=4", "semi.weight=2"])
    settings = semi_settings(config)
    assert settings is not None
    assert [settings.weight_at(step) for step in (0, 9, 10, 11, 13, 500)] == [0, 0, 0.5, 1, 2, 2]
    assert settings.threshold == (0.5, 0.5)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("semi.decay", 1, "semi.decay"),
        ("semi.unlabelled_share", 0, "semi.unlabelled_share"),
        ("semi.unsure", 0.9, "at most semi.threshold"),
        ("semi.threshold", [0.5, 0.4, 0.3], "semi.threshold"),
        ("semi.weight_by_score", "maybe", "true or false"),
        ("semi.frames", 6, "sequence_length=5"),
        ("semi.start_step", 1000, "fewer than training.max_steps"),
        ("semi.strong", False, "semi.strong"),
        ("semi.strong.erase.side", 2, "semi.strong.erase.side"),
        ("semi", {"decay": 0.9}, "no unlabelled_share"),
        ("training.ema_decay", 0.99, "none together with semi"),
        ("training.dynamic_batch_size.enabled", True, "none together with semi"),
    ],
)
def test_mistakes(key: str, value: object, said: str) -> None:
    config, (*parts, last) = deepcopy(composed()), key.split(".")
    reduce(lambda node, part: node[part], parts, config)[last] = value
    with pytest.raises(UserError) as caught:
        checked_semi(config)
    assert said in str(caught.value)


def test_a_model_that_cannot_be_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModelSpec(family="other", build=lambda section: None, task="flow")
    monkeypatch.setattr(semi, "spec_of_section", lambda section: other)
    with pytest.raises(UserError, match="finds boxes in frames"):
        semi_settings(composed())


def test_a_loss_that_cannot_weigh_frames() -> None:
    network = SimpleNamespace(family="grid", weighs_frames=False)
    with pytest.raises(UserError, match="'grid', whose loss does not"):
        semi.check_weighs(network)  # type: ignore[arg-type] # what it reads of a detector


def test_without_the_section_there_is_no_teacher() -> None:
    assert checked_semi({key: value for key, value in composed().items() if key != "semi"}) is None
