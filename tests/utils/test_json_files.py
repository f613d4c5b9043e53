"""JSON of our own that is damaged: one message each, wherever it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.preprocessing.manifest import MANIFEST, read_manifest, settings_of_folder
from data.sequences.record import RECORD_FILE, read_record
from data.supervision.rules import read_split
from modules.checkpoints.start import DONE, Limits, is_done
from modules.labelling.dataset import prepare_dataset, read_settings
from modules.labelling.sequence_boxes import EventSeqData
from modules.labelling.views import read_views
from modules.training.batch_size import _read as read_batch_size
from scripts.rounds.settings import SETTINGS, as_begun, check_settings
from scripts.rounds.stopping import precision
from utils import arrays, json_files
from utils.arrays import load_npz
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError
from utils.json_files import read_json


def older_settings(folder: Path) -> object:
    (folder / "train" / "a").mkdir(parents=True, exist_ok=True)
    return settings_of_folder(folder)


VIEWS = {"hflip": bool, "nms_threshold": float}
DAMAGED = [
    (DONE, lambda f: is_done(f, Limits(4, 1)), ('{"steps": 1e400, "max_steps": 4}', '{"steps": "4"}', "[4]")),
    (MANIFEST, read_manifest, ('{"format": "preprocessed dataset", "splits": {"train": {}}}', '{"format": 1}')),
    ("preprocessing.json", older_settings, ("[1]",)),
    (MANIFEST, read_settings, ('{"complete": false}', '{"settings": null}')),
    (MANIFEST, lambda f: read_settings(f, VIEWS), ('{"settings": {"hflip": 1, "nms_threshold": 0.4}}',)),
    (MANIFEST, lambda f: prepare_dataset(f / "train", f / "none" / "train", {"a": 1}), ('{"settings": []}',)),
    ("batch_size.json", lambda f: read_batch_size(f / "batch_size.json"), ('{"train": true}', '{"train": 0}')),
    (SETTINGS, lambda f: check_settings(f, {"seed": 0}), ('{"self_training": 3}',)),
    (SETTINGS, lambda f: as_begun(f, {"self_training": {"model": None}}), ('{"self_training": [1]}',)),
    ("quality.json", lambda f: precision(f / "quality.json"), ('{"one_to_one": {"all": {}}}',)),
    ("split.json", lambda f: read_split(f / "split.json"), ('{"a": [1000000000000000000000000]}', "[1]", '{"a": 1}')),
]
ALWAYS = ("", '{"se', "null", '"a"', "[" * 100_000, "\x00", '{"a": ' + "1" * 5000 + "}", b"\xff\xfe{}")


@pytest.mark.parametrize(("name", "read", "contents"), DAMAGED)
def test_damaged_files(name: str, read: Callable[[Path], object], contents: tuple[str, ...], tmp_path: Path) -> None:
    for content in (*contents, *ALWAYS):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(UserError) as caught:
            read(tmp_path)
        assert caught.value.where == str(tmp_path / name)


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    counts = {"events": 1, "frames": 1, "labelled_frames": 1, "boxes": 1, "raw_boxes": 1}
    for content in ("{", "[]", '{"files": {}}', f'{{"files": {{"a": 1}}, "counts": {counts}}}'.replace("'", '"')):
        (tmp_path / RECORD_FILE).write_text(content)
        assert read_record(tmp_path) is None


def test_a_file_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large.json").write_text("[" + " " * 2**20 + "]")
    monkeypatch.setattr(json_files, "memory_bytes", lambda: 2**23)
    with pytest.raises(UserError, match="1 MiB, more than the 0 MiB") as caught:
        read_json(tmp_path / "large.json", expected="a list", fix="make a smaller one")
    assert caught.value.fix == "make a smaller one"


def test_the_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": {"b": [1, "x"]}}')
    with pytest.raises(UserError, match=r"a\.b\[1\] is 'x', no whole number"):
        read_json(tmp_path / "a.json", {"a": {"b": [int]}}, expected="numbers", fix="correct it")


def test_an_archive_that_unpacks_to_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", zeros=np.zeros(2**20))
    assert (tmp_path / "a.npz").stat().st_size < 2**16
    monkeypatch.setattr(arrays, "memory_bytes", lambda: 2**23)
    with pytest.raises(UserError, match="an archive that unpacks to"):
        load_npz(tmp_path / "a.npz", "zeros")


def test_views_that_contradict_themselves(tmp_path: Path) -> None:
    sequence = EventSeqData(tmp_path / "a", (64, 80))
    sequence.set_ground_truth(3, np.zeros(2, dtype=BBOX_DTYPE))
    sound = sequence.state()
    np.savez(tmp_path / "a.npz", **sound)  # pyright: ignore[reportArgumentType]
    EventSeqData(tmp_path / "a", (64, 80)).add_state(read_views(tmp_path / "a.npz"))
    for name, value in (("gt_counts", np.array([1])), ("counts", np.array([2])), ("rows", np.zeros((0, 3)))):
        np.savez(tmp_path / "a.npz", **{**sound, name: value})
        with pytest.raises(UserError, match="boxes of views"):
            read_views(tmp_path / "a.npz")
