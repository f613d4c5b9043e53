"""Several runs make one dataset together, each its share of the recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.preprocessing.dataset import preprocess_dataset
from data.preprocessing.manifest import MANIFEST
from data.preprocessing.shards import Shard
from tests.helpers.recordings.raw_recordings import config, content, make_raw
from utils.commands.run_lock import RunLock
from utils.errors import UserError


def test_shares_and_what_comes_after_them_give_the_bytes_of_one_run(tmp_path: Path) -> None:
    raw, shared = make_raw(tmp_path / "raw"), tmp_path / "shared"
    preprocess_dataset(raw, tmp_path / "one", config())
    made = []
    for number in (3, 1, 2, 3):  # in any order, and again
        report = preprocess_dataset(raw, shared, config(), shard=Shard(number, 3))
        made.append({(split, row.name) for split, rows in report.items() for row in rows})
        assert not (shared / MANIFEST).exists()
    assert made[0] == made[3]
    assert len(set.union(*made)) == sum(map(len, made[:3])), "no recording is in two shares"
    preprocess_dataset(raw, shared, config())
    assert content(shared) == content(tmp_path / "one")


def test_a_share_and_the_whole_keep_out_of_each_others_way(tmp_path: Path) -> None:
    raw, out = make_raw(tmp_path / "raw", splits=("train",)), tmp_path / "out"
    first, second = Shard(1, 2), Shard(2, 2)
    theirs = out / "train" / ".s9.tmp-leod-1"
    with first.hold(out, []):
        theirs.mkdir(parents=True)
        with pytest.raises(UserError, match="no other run"), first.hold(out, []):
            pass
        with pytest.raises(UserError, match="no other run"):
            preprocess_dataset(raw, out, config())
        preprocess_dataset(raw, out, config(), shard=second)
        assert theirs.is_dir(), "what another share is about to finish stays"
    with RunLock(out, "dataset.path"), pytest.raises(UserError, match="no other run"):
        preprocess_dataset(raw, out, config(), shard=second)
    preprocess_dataset(raw, out, config())
    assert not theirs.exists()
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("wrong", ["0/2", "3/2", "2", "a/b", 0.5])
def test_what_is_no_share(wrong: object) -> None:
    with pytest.raises(UserError, match="NUMBER/COUNT"):
        Shard.parse(wrong)


def test_all_is_no_share() -> None:
    assert Shard.parse(None) is None
