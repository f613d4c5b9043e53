"""The labelling loop on small sequences whose boxes can be read off the frames."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from data.batches.config import DataModuleConfig
from data.sequences.layout import SequencePaths, SequenceWriter, StoredLabels, list_sequences, read_labels
from modules.data.genx import DataModule
from modules.evaluation.agreement import Agreement
from modules.label_runs import summary_text
from modules.labelling.config import ScoreThresholds
from modules.labelling.finished import check_all_used, check_finished
from modules.labelling.frequency import Frequency
from modules.labelling.retrack import retrack_dataset
from modules.pseudo_labeler import PseudoLabeler, PseudoLabelerConfig
from modules.tracking.filter import TrackFilterConfig
from modules.tracking.joint import JointConfig
from utils.boxes import BBOX_DTYPE, IGNORE_LABEL
from utils.errors import UserError

HW, LENGTH, REPRESENTATION = (40, 64), 5, "stacked_histogram_dt=50_nbins=1"
LABELLED = (4, 9, 14)
SEQUENCES = {"a": 17, "b": 15, "c": 22, "d": 16}
BOX_WH = (12, 12)


def position(name, frame):
    """Left and top of the object, whole pixels at both resolutions."""
    return 2 * frame, 4 + 4 * (ord(name) - ord("a"))


def write_sequence(root, name, frames, downsampled):
    factor = 2 if downsampled else 1
    height, width = HW[0] // factor, HW[1] // factor
    data = np.zeros((frames, 2, height, width), dtype=np.uint8)
    for frame in range(frames):
        x, y = (value // factor for value in position(name, frame))
        data[frame, :, y : y + BOX_WH[1] // factor + 1, x : x + BOX_WH[0] // factor + 1] = 1
    # Times beyond 2^24 microseconds and odd, coordinates that halving would round.
    times = 20_000_001 + 50_000 * np.arange(frames)
    boxes = np.zeros(len(LABELLED), dtype=BBOX_DTYPE)
    for index, frame in enumerate(LABELLED):
        boxes[index] = (times[frame], 20.1 + index, 21.3, 11.7, 9.9, 1, 1.0, 1.0)
    labels = StoredLabels(boxes, np.arange(len(LABELLED)), np.array(LABELLED), times[list(LABELLED)])
    with SequenceWriter(root / name, REPRESENTATION, 2, height, width, downsampled=downsampled) as writer:
        writer.append_frames(data)
        writer.write_frame_timestamps(times)
        writer.write_labels(labels)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    for name, frames in SEQUENCES.items():
        write_sequence(root / "train", name, frames, downsampled=False)
    write_sequence(root / "val", "v", 15, downsampled=False)
    (root / "test").mkdir()
    return root


class BoxReader:
    """Detects the rectangle of ones; its objectness counts the chunks since the sequence began."""

    device = torch.device("cpu")

    def __init__(self):
        self.calls = 0

    def detect_sequence(self, frames, states, is_first):
        self.calls += 1
        chunks = torch.zeros(frames.shape[1]) if states is None else torch.where(is_first, 0.0, states)
        detections = []
        for frame in frames.amax(dim=2):
            rows = []
            for lane, image in enumerate(frame):
                y, x = torch.nonzero(image, as_tuple=True)
                corners = [x.min(), y.min(), x.max(), y.max()] if len(x) else []
                row = [*map(float, corners), 0.5 + 0.05 * float(chunks[lane]), 0.9, 0.0]
                rows.append(torch.tensor([row] if len(x) else [], dtype=torch.float32).reshape(-1, 7))
            detections.append(rows)
        return detections, chunks + 1


def settings(**changes):
    values = {
        "ev_repr_name": REPRESENTATION,
        "sensor_hw": HW,
        "downsampled": False,
        "classes": ("car", "pedestrian"),
        "thresholds": ScoreThresholds.of(0.1, 0.1, [0, 1]),
        "tracking": TrackFilterConfig(min_track_len=0),
    }
    return PseudoLabelerConfig(**{**values, **changes})


def loaders(source, ratio=0.5, downsampled=False, stop_after=None):
    module = DataModule(
        DataModuleConfig(
            path=str(source), ev_repr_name=REPRESENTATION, sensor_hw=HW, num_classes=2, sequence_length=LENGTH,
            batch_size_eval=2, ratio=ratio, downsample_by_factor_2=downsampled, num_stream_groups_eval=2,
            eval_from_zero=True,
        )
    )  # fmt: skip
    remaining = [stop_after]

    def make_loader(reverse, finished):
        for batch in module.predict_dataloader(reverse):
            if remaining[0] is not None:
                if remaining[0] == 0:
                    raise KeyboardInterrupt
                remaining[0] -= 1
            yield batch

    return make_loader


def label(source, save_dir, config=None, detector=None, **kwargs):
    labeler = PseudoLabeler(config or settings(), source / "train", save_dir, {"checkpoint": "teacher"})
    return labeler.run(detector or BoxReader(), loaders(source, **kwargs))


def read(save_dir, name):
    return read_labels(SequencePaths(save_dir / name, REPRESENTATION))


def file_bytes(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def test_every_frame_gets_its_box_and_ground_truth_stays_exact(source, tmp_path):
    summary = label(source, tmp_path / "train")
    for name, frames in SEQUENCES.items():
        labels, original = read(tmp_path / "train", name), read(source / "train", name)
        visible = labels.boxes["t"] > 0
        assert labels.objframe_idx_2_repr_idx.tolist() == list(range(frames))
        kept = np.flatnonzero(np.isin(original.boxes["t"], labels.boxes["t"][visible]))
        assert 0 < len(kept) < len(LABELLED)
        np.testing.assert_array_equal(labels.boxes[visible], original.boxes[kept])
        for frame in set(range(frames)) - {LABELLED[index] for index in kept}:
            box = labels.frame(frame)
            assert (box["x"][0], box["y"][0]) == position(name, frame)
            assert (box["w"][0], box["h"][0], box["class_id"][0]) == (*BOX_WH, 0)
            assert box["objectness"][0] == pytest.approx(0.5 + 0.05 * (frame // LENGTH))
    assert summary["sequences"] == len(SEQUENCES)
    assert summary["frames"] == sum(SEQUENCES.values())
    assert summary["ground_truth"] + summary["pseudo_car"] == summary["frames"]
    assert summary["missing"] == []


def test_hidden_labels_never_reach_the_output(source, tmp_path):
    label(source, tmp_path / "train", ratio=0.34)
    for name in SEQUENCES:
        boxes = read(tmp_path / "train", name).boxes
        assert (boxes["t"] > 0).sum() <= 1
        assert not np.isin(boxes["x"][boxes["t"] == 0], read(source / "train", name).boxes["x"]).any()


def test_without_use_gt_only_detections_are_written(source, tmp_path):
    label(source, tmp_path / "train", settings(use_gt=False), ratio=None)
    for name, frames in SEQUENCES.items():
        boxes = read(tmp_path / "train", name).boxes
        assert len(boxes) == frames
        assert (boxes["t"] == 0).all()


@pytest.mark.parametrize(("hflip", "tflip"), [(True, False), (False, True), (True, True)])
def test_views_agree_on_the_box(source, tmp_path, hflip, tflip):
    # Without an offset a reversed frame shows the same box, so that all views must merge into one.
    config = settings(hflip=hflip, tflip=tflip, tflip_offset=0)
    detector = BoxReader()
    label(source, tmp_path / "train", config, detector)
    assert not list((tmp_path / "train").glob(".*"))
    for name, frames in SEQUENCES.items():
        labels = read(tmp_path / "train", name)
        assert len(labels.boxes) == frames
        for frame in range(frames):
            box = labels.frame(frame)[0]
            if box["t"] == 0:
                assert (box["x"], box["y"]) == position(name, frame)


def test_reversed_boxes_are_shifted(source, tmp_path):
    label(source, tmp_path / "train", settings(tflip=True, tflip_offset=-1, use_gt=False))
    labels = read(tmp_path / "train", "a")
    # The object moves two of twelve pixels a frame, so the views of neighbours still merge: the better score wins.
    scores = labels.boxes["objectness"]
    assert len(labels.boxes) == SEQUENCES["a"]
    assert scores[0] > 0.6
    assert scores[-1] == pytest.approx(0.65)


@pytest.mark.parametrize("stop_after", [0, 2, 5, 9, 11])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(source, tmp_path, stop_after):
    config = settings(hflip=True, tflip=True, tracking=TrackFilterConfig(inpaint=True))
    detector = BoxReader()
    label(source, tmp_path / "whole" / "train", config, detector)
    stopped = tmp_path / "stopped" / "train"
    first, second = BoxReader(), BoxReader()
    with pytest.raises(KeyboardInterrupt):
        label(source, stopped, config, first, stop_after=stop_after)
    label(source, stopped, config, second)
    assert file_bytes(tmp_path / "stopped") == file_bytes(tmp_path / "whole")
    assert first.calls + second.calls < 2 * detector.calls
    third = BoxReader()
    label(source, stopped, config, third)
    assert third.calls == 0
    assert file_bytes(tmp_path / "stopped") == file_bytes(tmp_path / "whole")


def test_the_result_is_a_dataset_to_train_on(source, tmp_path):
    label(source, tmp_path / "train")
    assert (tmp_path / "val").resolve() == (source / "val").resolve()
    assert (tmp_path / "test").is_symlink()
    config = DataModuleConfig(
        path=str(tmp_path), ev_repr_name=REPRESENTATION, sensor_hw=HW, num_classes=2, sequence_length=LENGTH,
        batch_size_train=2, train_sampling="random",
    )  # fmt: skip
    batch = next(iter(DataModule(config).train_dataloader()))
    assert batch["inputs"].data.shape == (LENGTH, 2, 2, *HW)
    assert batch["labels"].labelled.all()


def test_boxes_return_to_full_resolution(tmp_path):
    write_sequence(tmp_path / "source" / "train", "a", 17, downsampled=True)
    config = settings(downsampled=True, hflip=True)
    label(tmp_path / "source", tmp_path / "out" / "train", config, downsampled=True, ratio=0.34)
    labels = read_labels(SequencePaths(tmp_path / "out" / "train" / "a", REPRESENTATION, True))
    pseudo = labels.boxes[labels.boxes["t"] == 0]
    frames = [frame for frame in range(17) if labels.frame(frame)["t"][0] == 0]
    assert [(box["x"], box["y"]) for box in pseudo] == [position("a", frame) for frame in frames]
    truth = labels.boxes[labels.boxes["t"] > 0]
    original = read_labels(SequencePaths(tmp_path / "source" / "train" / "a", REPRESENTATION, True)).boxes
    np.testing.assert_array_equal(truth, original[np.isin(original["t"], truth["t"])])


def test_other_settings_do_not_continue_a_run(source, tmp_path):
    label(source, tmp_path / "train")
    changed = settings(hflip=True, thresholds=ScoreThresholds.of(0.2, 0.1, [0, 1]))
    with pytest.raises(UserError) as error:
        PseudoLabeler(changed, source / "train", tmp_path / "train", {"checkpoint": "other"})
    for part in (
        "hflip is True, was False",
        "model.pseudo_label.obj_thresh",
        "provenance.checkpoint is other, was teacher",
    ):
        assert part in str(error.value)
    assert "class_confidence" not in str(error.value)


def test_another_teacher_is_told_by_its_file(source, tmp_path):
    def teach(checksum, file):
        target = (source / "train", tmp_path / "train")
        return PseudoLabeler(settings(), *target, {"checkpoint_sha256": checksum}, teacher=file)

    teach("97a8", "first.ckpt")
    teach("97a8", "moved.ckpt")
    with pytest.raises(UserError, match=r"got: *the teacher is second.ckpt, was first.ckpt\n"):
        teach("6814", "second.ckpt")
    with pytest.raises(UserError, match="checkpoint_sha256 is 6814, was 97a8"):
        teach("6814", "first.ckpt")


def test_a_summary_is_told_in_words():
    summary = {"sequences": 3, "missing": ["a"], "frames": 24, "pseudo": 10, "pseudo_car": 7, "ignored_inpainted": 0}
    told = summary_text(summary).splitlines()
    assert told[0] == "sequences with labels                          3"
    assert told[1].split() == ["sequences", "that", "were", "not", "labelled", "1"]
    assert told[4].split() == ["...", "car", "7"]
    assert len({len(line) for line in told}) == 1


def test_another_dataset_does_not_continue_a_run(source, tmp_path):
    label(source, tmp_path / "out" / "train")
    write_sequence(tmp_path / "other" / "train", "a", SEQUENCES["a"], downsampled=False)
    with pytest.raises(UserError, match="that this one was begun with"):
        PseudoLabeler(settings(), tmp_path / "other" / "train", tmp_path / "out" / "train", {"checkpoint": "teacher"})


def test_a_part_of_the_labels_is_not_taken_for_all(source, tmp_path):
    def config(allow, path=tmp_path):
        representation = {"name": REPRESENTATION}
        dataset = {"path": str(path), "representation": representation, "downsample_by_factor_2": False}
        return {"dataset": dataset, "allow_unfinished": allow}

    with pytest.raises(KeyboardInterrupt):
        label(source, tmp_path / "train", stop_after=8)
    count = len(list_sequences(tmp_path / "train"))
    assert 0 < count < 4
    with pytest.raises(UserError, match=f"labelling unfinished: {count} of 4 sequences"):
        check_finished(config(allow=False))
    check_finished(config(allow=True))
    label(source, tmp_path / "train")
    check_finished(config(allow=False))
    check_finished(config(allow=False, path=source))
    shutil.rmtree(tmp_path / "train" / "b")
    with pytest.raises(UserError, match="labelling unfinished: 3 of 4 sequences"):
        check_finished(config(allow=False))


def test_a_share_of_pseudo_labels_is_asked_for(source, tmp_path):
    def config(path, allow=False, **shares):
        dataset = {"path": str(path), "ratio": None, "train_ratio": None, "split_file": None, **shares}
        return {"dataset": dataset, "allow_share": allow}

    label(source, tmp_path / "train")
    for key, value in {"ratio": 0.3, "train_ratio": 0.1, "split_file": "some.json"}.items():
        with pytest.raises(UserError, match=f"dataset.{key}={value}, which hides(.|\n)*add dataset.{key}=null"):
            check_all_used(config(tmp_path, **{key: value}))
    check_all_used(config(tmp_path, allow=True, ratio=0.3))
    check_all_used(config(tmp_path))
    check_all_used(config(source, ratio=0.3))
    (source / "manifest.json").write_text('{"representation": {}}')  # as preprocessing leaves one
    check_all_used(config(source, ratio=0.3))


def test_places_that_cannot_be_written_are_refused(source, tmp_path):
    with pytest.raises(UserError, match="own folder"):
        PseudoLabeler(settings(), source / "train", source / "train")
    (tmp_path / "train" / "x").mkdir(parents=True)
    with pytest.raises(UserError, match="no manifest"):
        PseudoLabeler(settings(), source / "train", tmp_path / "train")
    (tmp_path / "other" / "val").mkdir(parents=True)
    with pytest.raises(UserError, match="a file or folder"):
        label(source, tmp_path / "other" / "train")


def test_the_manifest_counts_what_was_written(source, tmp_path):
    summary = label(source, tmp_path / "train", settings(tracking=TrackFilterConfig(min_track_len=6, inpaint=True)))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["summary"] == summary
    assert manifest["settings"]["provenance"] == {"checkpoint": "teacher"}
    assert sorted(manifest["sequences"]) == sorted(SEQUENCES)
    assert sum(counts["frames"] for counts in manifest["sequences"].values()) == summary["frames"]


def test_tracking_again_equals_tracking_at_once(source, tmp_path):
    # Boxes of the first chunk fall below the threshold.
    final = settings(
        tracking=TrackFilterConfig(min_track_len=30, track_method="forward", inpaint=True),
        thresholds=ScoreThresholds.of(0.52, 0.1, [0, 1]),
    )
    label(source, tmp_path / "raw" / "train")
    label(source, tmp_path / "tracked" / "train", final)
    summary = retrack_dataset(final, tmp_path / "raw" / "train", tmp_path / "again" / "train")
    for name, frames in SEQUENCES.items():
        again = read(tmp_path / "again" / "train", name)
        np.testing.assert_array_equal(again.boxes, read(tmp_path / "tracked" / "train", name).boxes)
        assert len(again) < frames
    assert summary["ground_truth"] == 2 * len(SEQUENCES)
    assert (tmp_path / "again" / "val").resolve() == (source / "val").resolve()


def test_joint_tracks_choose_among_weaker_boxes(source, tmp_path):
    strict = ScoreThresholds.of(0.52, 0.1, [0, 1])  # the boxes of the first chunk do not reach it
    joint = settings(use_gt=False, thresholds=strict, tracking=TrackFilterConfig(6, joint=JointConfig(smooth=True)))
    label(source, tmp_path / "joint" / "train", joint)
    label(source, tmp_path / "raw" / "train", settings(use_gt=False))
    retrack_dataset(joint, tmp_path / "raw" / "train", tmp_path / "again" / "train")
    for name, frames in SEQUENCES.items():
        at_once, again = (read(tmp_path / folder / "train", name) for folder in ("joint", "again"))
        np.testing.assert_array_equal(again.boxes, at_once.boxes)
        assert len(at_once.boxes) == frames
        assert set(at_once.boxes["class_id"].tolist()) == {0}
        np.testing.assert_allclose(at_once.frame(7)["x"], position(name, 7)[0], atol=0.1)
    assert "joint" not in json.loads((tmp_path / "raw" / "manifest.json").read_text())["settings"]["tracking"]


class FaintMirror(BoxReader):
    """Sees objects in mirrored frames with a third of the objectness, and a second thing there alone."""

    def detect_sequence(self, frames, states, is_first):
        detections, states = super().detect_sequence(frames, states, is_first)
        for rows in detections:
            for index in range(len(rows) // 2, len(rows)):
                rows[index] = torch.cat([rows[index], torch.tensor([[30.0, 20, 50, 34, 0.8, 0.9, 1]])])
                rows[index][:-1, 4] /= 3
        return detections, states


def test_views_agree_before_thresholds_choose(source, tmp_path):
    agreement, low = Agreement(), ScoreThresholds.of(0.2, 0.2, [0, 1])
    config = settings(
        hflip=True, tflip=True, agreement=agreement, thresholds=low, use_gt=False, unsure=low, keep_views=True,
        tracking=TrackFilterConfig(min_track_len=6),
    )  # fmt: skip
    label(source, tmp_path / "low" / "train", config, FaintMirror())
    boxes = read(tmp_path / "low" / "train", "a").frame(7)
    assert boxes["class_id"].tolist() == [1, 0]  # the mirrored thing was seen by half of the views
    assert boxes["objectness"] == pytest.approx([0.4, (0.55 + 0.55 / 3) / 2], abs=0.03)

    strict = ScoreThresholds.of(0.38, 0.2, [0, 1])
    chosen = replace(config, thresholds=strict)
    label(source, tmp_path / "strict" / "train", chosen, FaintMirror())
    boxes = read(tmp_path / "strict" / "train", "a").frame(7)
    assert boxes["class_id"].tolist() == [1, IGNORE_LABEL]  # unsure, and with scores, so that it is known why
    assert "agreement" in json.loads((tmp_path / "strict" / "manifest.json").read_text())["settings"]

    retrack_dataset(chosen, tmp_path / "low" / "train", tmp_path / "again" / "train")
    for name in SEQUENCES:
        again, at_once = (read(tmp_path / folder / "train", name) for folder in ("again", "strict"))
        np.testing.assert_array_equal(again.boxes, at_once.boxes)
    shutil.rmtree(tmp_path / "low" / "views")
    retrack_dataset(chosen, tmp_path / "low" / "train", tmp_path / "merged" / "train")
    with pytest.raises(UserError, match="in another way"):
        retrack_dataset(replace(chosen, agreement=Agreement(0.7)), tmp_path / "low" / "train", tmp_path / "x" / "train")


class Graded(BoxReader):
    """Scores boxes by their place in the frame; of the class of ground truth."""

    def detect_sequence(self, frames, states, is_first):
        detections, states = super().detect_sequence(frames, states, is_first)
        for rows in (rows for lanes in detections for rows in lanes):
            rows[:, 4] = 0.2 + rows[:, 0] / 100 + rows[:, 1] / 1000
            rows[:, 6] = 1
        return detections, states


def test_thresholds_by_frequency_survive_any_stop(source, tmp_path):
    # Every frame has one box, labelled or not.
    config = settings(hflip=True, tflip=True, frequency=Frequency(factor=0.5, unsure_factor=0.75))
    summary = label(source, tmp_path / "whole" / "train", config, Graded())
    others = sum(SEQUENCES.values()) - summary["ground_truth"]
    assert summary["pseudo"] == pytest.approx(others / 2, abs=2)
    assert summary["ignored_short_track"] == pytest.approx(others / 4, abs=2)
    assert not (tmp_path / "whole" / "views").exists()
    expected = file_bytes(tmp_path / "whole")
    out = tmp_path / "stopped" / "train"
    for stop_after in (3, 1, 6):
        with pytest.raises(KeyboardInterrupt):
            label(source, out, config, Graded(), stop_after=stop_after)
    label(source, out, config, Graded())
    assert file_bytes(tmp_path / "stopped") == expected

    # A sequence that is lost is made again with the thresholds of the others.
    shutil.rmtree(out / "b")
    label(source, out, config, Graded())
    assert file_bytes(tmp_path / "stopped") == expected

    kept = replace(config, keep_views=True)
    label(source, tmp_path / "kept" / "train", kept, Graded())
    retrack_dataset(
        replace(config, frequency=Frequency(0.75)), tmp_path / "kept" / "train", tmp_path / "more" / "train"
    )
    once = label(source, tmp_path / "once" / "train", replace(config, frequency=Frequency(0.75)), Graded())
    assert file_bytes(tmp_path / "once" / "train") == file_bytes(tmp_path / "more" / "train")
    assert once["pseudo"] > summary["pseudo"]
    with pytest.raises(UserError, match="views"):
        retrack_dataset(config, tmp_path / "whole" / "train", tmp_path / "x" / "train")


def test_a_stream_that_ends_too_early_is_an_error(source, tmp_path):
    labeler = PseudoLabeler(settings(), source / "train", tmp_path / "train")
    make_loader = loaders(source)
    with pytest.raises(RuntimeError, match="ended within"):
        labeler.run(BoxReader(), lambda reverse, finished: list(make_loader(reverse, finished))[:2])
