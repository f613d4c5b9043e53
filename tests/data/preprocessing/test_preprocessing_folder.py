"""Other people's files beside a dataset, and recordings that change: nothing is lost, nothing stale is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.events.bbox import write_bbox_npy
from data.inspection.config import Expectation
from data.inspection.dataset import inspect_dataset
from data.inspection.verify import verify_dataset
from data.preprocessing import job as job_module
from data.preprocessing.dataset import preprocess_dataset
from data.preprocessing.folder import exclusive
from data.preprocessing.layouts import base
from data.preprocessing.manifest import MANIFEST
from data.preprocessing.recordings import find_recordings
from data.sequences.record import read_record
from tests.helpers.recordings.raw_recordings import boxes_at, config, content, every_ms, make_raw
from tests.helpers.tiny_dataset import write_tiny_sequence
from utils.errors import UserError


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return make_raw(tmp_path / "raw", splits=("train",), per_split=2)


def boxes_of(raw: Path) -> Path:
    return raw / "train" / "s0_bbox.npy"


def test_a_folder_that_is_no_dataset_loses_nothing(raw: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for folder in ("train/.thesis.tmp-1", "val", "empty", ".cache.tmp-2", ".x.tmp-leod-3", "train/.y.tmp-leod-4"):
        (home / folder).mkdir(parents=True)
    (home / "train" / ".thesis.tmp-1" / "chapter").touch()
    (home / ".draft.tmp-5").touch()
    before = {path.relative_to(home) for path in home.rglob("*")}
    (raw / "train" / "s0_td.dat").write_bytes(b"nothing")
    with pytest.raises(UserError):
        preprocess_dataset(raw, home, config())
    assert before <= {path.relative_to(home) for path in home.rglob("*")}
    assert (home / "train" / "s1").is_dir()


def test_what_a_killed_run_left_goes_and_links_do_not(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config())
    (out / "train" / ".s9.tmp-leod-7").mkdir()
    (out / "train" / ".s8.tmp-leod-7").symlink_to(raw, target_is_directory=True)
    (out / "mine").mkdir()
    with exclusive(out):
        assert not (out / "train" / ".s9.tmp-leod-7").exists()
    assert (out / "train" / ".s8.tmp-leod-7").is_symlink()
    assert (out / "mine").is_dir()
    assert boxes_of(raw).is_file()


def test_a_split_that_is_a_link_is_not_written_to(raw: Path, tmp_path: Path) -> None:
    truth, out = tmp_path / "truth", tmp_path / "out"
    truth.mkdir()
    out.mkdir()
    (out / "train").symlink_to(truth)
    with pytest.raises(UserError, match="a folder for the train split"):
        preprocess_dataset(raw, out, config())
    assert not list(truth.iterdir())
    assert not (out / ".run.lock").exists()


def test_what_is_no_folder_is_not_written_over(raw: Path, tmp_path: Path) -> None:
    sequence = tmp_path / "out" / "train" / "s0"
    sequence.parent.mkdir(parents=True)
    for put in (sequence.touch, lambda: sequence.symlink_to(tmp_path / "nowhere"), lambda: sequence.symlink_to("s0")):
        put()
        with pytest.raises(UserError) as caught:
            preprocess_dataset(raw, tmp_path / "out", config())
        assert caught.value.where == str(sequence)
        assert caught.value.fix.startswith("remove it")
        sequence.unlink()


def correct(raw: Path) -> None:
    write_bbox_npy(boxes_of(raw), boxes_at(every_ms(50))[::2])


def correct_with_an_old_date(raw: Path) -> None:
    boxes = boxes_at(every_ms(50))
    boxes["x"] += 1
    write_bbox_npy(boxes_of(raw), boxes)
    os.utime(boxes_of(raw), (1, 1))


@pytest.mark.parametrize(
    ("change", "says"), [(correct, "s0_bbox.npy has"), (correct_with_an_old_date, "s0_bbox.npy has another content")]
)
def test_boxes_that_changed_are_refused_or_taken(raw: Path, tmp_path: Path, change: Any, says: str) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config())
    before = content(out)
    change(raw)
    with pytest.raises(UserError, match=f"1 changed: train/s0: {says}"):
        preprocess_dataset(raw, out, config())
    assert content(out) == before
    preprocess_dataset(raw, out, config(), refresh=True)
    preprocess_dataset(raw, tmp_path / "anew", config())
    assert content(out) == content(tmp_path / "anew")


def test_what_is_to_be_made_again_stays_until_the_new_one_is_whole(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config())
    before = {name: data for name, data in content(out).items() if name.parts[0] == "train"}
    boxes_of(raw).write_bytes(b"junk")
    with pytest.raises(UserError, match="s0_bbox"):
        preprocess_dataset(raw, out, config(), refresh=True)
    assert {name: data for name, data in content(out).items() if name.parts[0] == "train"} == before
    entry = json.loads((out / MANIFEST).read_text())["splits"]["train"]
    assert set(entry["sequences"]) == {"s0", "s1"}
    assert set(entry["failed"]) == {"s0"}
    with pytest.raises(UserError, match=r"1 changed: train/s0"):
        preprocess_dataset(raw, out, config())
    write_bbox_npy(boxes_of(raw), boxes_at([]))
    preprocess_dataset(raw, out, config(), refresh=True)  # nothing is left of it
    assert [path.name for path in (out / "train").iterdir()] == ["s1"]


def test_files_that_are_only_newer_are_the_same(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config())
    before = content(out)
    for path in (raw / "train").iterdir():
        path.touch()
    preprocess_dataset(raw, out, config())
    assert content(out) == before


def test_a_file_that_appears_or_goes_is_a_change(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config(all_windows=True))
    boxes_of(raw).unlink()
    with pytest.raises(UserError, match=r"s0_bbox\.npy is gone"):
        preprocess_dataset(raw, out, config(all_windows=True))


def test_a_recording_that_is_still_being_copied(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = job_module.preprocess_recording

    def while_it_grows(recording: Any, boxes: Any, out_dir: Path, *more: Any) -> Any:
        if out_dir.name == "s0":
            with open(raw / "train" / "s0_td.dat", "ab") as file:
                file.write(bytes(8))
        return real(recording, boxes, out_dir, *more)

    monkeypatch.setattr(job_module, "preprocess_recording", while_it_grows)
    with pytest.raises(UserError, match="stays as it is while it is read"):
        preprocess_dataset(raw, tmp_path / "out", config())
    assert [path.name for path in (tmp_path / "out" / "train").iterdir()] == ["s1"]


def test_one_bad_recording_never_stops_the_others(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = base.open_recording

    def fails_for_one(path: Path, *more: Any) -> Any:
        if path.name.startswith("s0"):
            raise KeyError("a reader's own trouble")
        return real(path, *more)

    monkeypatch.setattr(base, "open_recording", fails_for_one)
    with pytest.raises(UserError, match='KeyError: "a reader\'s own trouble"'):
        preprocess_dataset(raw, tmp_path / "out", config())
    assert (tmp_path / "out" / "train" / "s1").is_dir()


def test_a_record_of_an_older_version_is_no_reason_to_refuse(
    raw: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (job, _) = find_recordings(raw, tmp_path / "out", config(), ["train"])
    preprocess_dataset(raw, tmp_path / "out", config())
    record = read_record(job.out_dir)
    assert record is not None
    assert set(record["made_from"]) == {"s0_td.dat", "s0_bbox.npy"}
    text = (job.out_dir / "sequence.json").read_text()
    (job.out_dir / "sequence.json").write_text(text.replace('"made_from"', '"unknown"'))
    os.utime(job.recording, (2**32, 2**32))
    preprocess_dataset(raw, tmp_path / "out", config())
    assert "whether it is of this s0_td.dat is not known" in caplog.text
    assert np.load(job.boxes).size


def test_a_sequence_whose_recording_is_gone_is_named_and_removed(
    raw: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config())
    write_tiny_sequence(out / "train" / "truth", seed=0)
    for path in (raw / "train").glob("s1_*"):
        path.unlink()
    preprocess_dataset(raw, out, config())
    assert "train/s1: raw_path has no recording of it; --refresh removes it" in caplog.text
    found = inspect_dataset(Expectation(out, splits=("train",))).findings
    assert [each.where for each in found.examples["sequences without a recording"]] == ["train/s1", "train/truth"]
    with pytest.raises(UserError, match="not in the manifest"):  # of the truth
        verify_dataset(out, config())
    assert "train/s1: raw_path had no recording of it any more" in caplog.text
    preprocess_dataset(raw, out, config(), refresh=True)
    assert "train/s1 is removed" in caplog.text
    assert sorted(path.name for path in (out / "train").iterdir()) == ["s0", "truth"]
    assert set(json.loads((out / MANIFEST).read_text())["splits"]["train"]["sequences"]) == {"s0"}


def test_a_recording_that_moved_to_another_split_is_refused_until_its_old_sequence_is_gone(
    raw: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config())
    (raw / "val").mkdir()
    for path in (raw / "train").glob("s0_*"):
        path.rename(raw / "val" / path.name.replace("s0", "s5"))
    with pytest.raises(UserError, match="the same content in two: val/s5 and train/s0"):
        preprocess_dataset(raw, out, config())
    with pytest.raises(UserError, match="val/s5: of the same recording as train/s0"):
        verify_dataset(out, config())
    assert "recordings in two splits" in inspect_dataset(Expectation(out)).findings.kinds(wrong=True)
    preprocess_dataset(raw, out, config(), refresh=True)
    assert verify_dataset(out, config()) == {"train": 1, "val": 1}


def test_classes_in_another_order_are_another_setting(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config(classes=("car", "pedestrian")))
    other = config(classes=("pedestrian", "car"))
    for meet in (lambda: preprocess_dataset(raw, out, other), lambda: verify_dataset(out, other)):
        with pytest.raises(UserError, match=r"classes: .*pedestrian.*instead of"):
            meet()


def test_a_dataset_that_does_not_say_its_classes_is_taken_as_it_is(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess_dataset(raw, out, config())
    named = config(classes=("car", "pedestrian"))
    assert verify_dataset(out, named) == {"train": 2}
    preprocess_dataset(raw, out, named)
