"""Checkpoint files: whole or absent, checked before use, set aside when damaged, kept as the config asks."""

from __future__ import annotations

import errno
import os
import resource
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.checkpoints.files import (
    LAST,
    Retention,
    keep_copy,
    load_checkpoint_file,
    step_name,
    write_checkpoint,
)
from modules.checkpoints.search import find_newest
from modules.checkpoints.start import RunFolder, resume_point
from utils.errors import UserError


def state(step: int) -> dict[str, Any]:
    return {"global_step": step, "weights": torch.arange(5000) * step}


def save(folder: Path, step: int, keep: int = 2, name: str = LAST) -> None:
    write_checkpoint(state(step), folder / name, keep)


def newest_step(folder: Path) -> int:
    found = find_newest(folder)
    assert found is not None
    return int(found[1]["global_step"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flip_a_bit(path: Path, place: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_noise(path: Path) -> None:
    path.write_bytes(os.urandom(1000))


def save_a_tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


def test_a_new_run_has_none(tmp_path: Path) -> None:
    assert find_newest(tmp_path / "none") is None
    assert find_newest(tmp_path) is None


def test_the_last_k_are_kept_by_age(tmp_path: Path) -> None:
    for step in range(1, 7):
        save(tmp_path, step, keep=3)
    assert names(tmp_path) == ["last-1.ckpt", "last-2.ckpt", "last.ckpt"]
    assert [load_checkpoint_file(tmp_path / f"last{age}.ckpt")["global_step"] for age in ("", "-1", "-2")] == [6, 5, 4]


def test_without_hard_links_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*paths: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    for step in range(1, 4):
        save(tmp_path, step)
    keep_copy(tmp_path / LAST, tmp_path / step_name(3))
    assert names(tmp_path) == ["last-1.ckpt", "last.ckpt", "step_00000003.ckpt"]
    assert newest_step(tmp_path) == 3


@pytest.mark.parametrize("harm", [flip_a_bit, cut, empty, fill_with_noise, save_a_tensor])
def test_a_damaged_one_is_set_aside_for_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Any
) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    harm(tmp_path / LAST)
    kept = (tmp_path / LAST).read_bytes()
    assert newest_step(tmp_path) == 1
    assert (tmp_path / "last.ckpt.damaged-1").read_bytes() == kept
    assert "last.ckpt cannot be read" in caplog.text
    save(tmp_path, 3)
    harm(tmp_path / LAST)
    assert newest_step(tmp_path) == 1
    assert {"last.ckpt.damaged-1", "last.ckpt.damaged-2"} < set(names(tmp_path))


@given(place=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_no_flipped_bit_passes_for_the_same_content(tmp_path_factory: pytest.TempPathFactory, place: float) -> None:
    path = tmp_path_factory.mktemp("bit") / LAST
    write_checkpoint(state(1), path)
    flip_a_bit(path, place)
    try:
        found = load_checkpoint_file(path)
    except UserError:
        return
    assert torch.equal(found["weights"], state(1)["weights"])


def test_another_process_sets_nothing_aside(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    cut(tmp_path / LAST)
    before = names(tmp_path)
    found = find_newest(tmp_path, tidy=False)
    assert found is not None
    assert found[1]["global_step"] == 1
    assert names(tmp_path) == before


def test_the_best_or_a_kept_one_is_better_than_none(tmp_path: Path) -> None:
    save(tmp_path, 3, name="best.ckpt")
    save(tmp_path, 2, name=step_name(2))
    save(tmp_path, 4)
    cut(tmp_path / LAST)
    assert newest_step(tmp_path) == 3


def test_all_damaged_is_said_and_not_taken_for_a_new_run(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    for name in names(tmp_path):
        cut(tmp_path / name)
    with pytest.raises(UserError, match="only damaged ones"):
        find_newest(tmp_path)
    assert names(tmp_path) == ["last-1.ckpt.damaged-1", "last.ckpt.damaged-1"]


def test_what_cannot_be_read_now_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def no_disk(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile, "ZipFile", no_disk)
    with pytest.raises(UserError, match="Input/output error"):
        find_newest(tmp_path)
    assert names(tmp_path) == [LAST]


def test_objects_in_a_file_are_not_run(tmp_path: Path) -> None:
    torch.save({"global_step": 1, "path": Path("x")}, tmp_path / "hostile.ckpt")
    with pytest.raises(UserError, match="plain containers"):
        load_checkpoint_file(tmp_path / "hostile.ckpt")


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Writes beyond ``room`` bytes of a file fail, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 100, 10_000, 40_000])
def test_a_full_disk_leaves_the_old_ones_intact(tmp_path: Path, room: int) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    with full_disk(room), pytest.raises(UserError) as failed:
        save(tmp_path, 3)
    assert "File too large" in str(failed.value), "the system's words for the limit that stands for a full disk"
    assert "step 3" in str(failed.value)
    assert names(tmp_path) == ["last-1.ckpt", "last.ckpt"], "nothing half-written stays"
    assert newest_step(tmp_path) == 2


def test_a_read_only_folder_leaves_the_old_ones_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def read_only(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", read_only)
        with pytest.raises(UserError, match="Read-only file system"):
            save(tmp_path, 2)
    assert newest_step(tmp_path) == 1


@pytest.mark.parametrize(
    ("key", "value"), [("every_n_steps", 0), ("keep_last", 0), ("keep_last", "all"), ("keep_every_n_steps", -1)]
)
def test_retention_out_of_range(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"checkpointing\.{key}"):
        Retention(**{key: value})


RESUMABLE: dict[str, Any] = {
    "state_dict": {},
    "optimizer_states": [{}],
    "lr_schedulers": [],
    "global_step": 3,
    "epoch": 0,
    "pytorch-lightning_version": "2.5.0",
}


@pytest.mark.parametrize("gone", [None, *RESUMABLE, "resume"])
def test_a_file_without_the_fields_of_a_resume_point_is_told(tmp_path: Path, gone: str | None) -> None:
    kept = {name: value for name, value in RESUMABLE.items() if name != gone}
    torch.save(kept | ({"resume": {"stage": "complete"}} if gone == "resume" else {}), tmp_path / LAST)
    for checkpoint in (None, tmp_path / LAST):
        if gone is None:
            found = resume_point(RunFolder(tmp_path), checkpoint)
            assert found is not None
            assert found[1]["global_step"] == 3
        else:
            with pytest.raises(UserError, match="weight=") as caught:
                resume_point(RunFolder(tmp_path), checkpoint)
            assert str(tmp_path / LAST) in caught.value.where
    assert names(tmp_path) == [LAST], "nothing is set aside: it may be somebody's weights"
