"""A share of the recordings for each of several commands that make one dataset together, as the tasks of a SLURM array.

Each takes its share and says nothing of the whole; the same command without a share, when they are done, makes what is
missing and writes the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from utils.atomic import remove_temporaries
from utils.commands.run_lock import LOCK, RunLock
from utils.errors import UserError

_KEY = "dataset.path"
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Shard:
    """One share of several.

    Attributes:
        number: which, from 1.
        count: of how many.
    """

    number: int
    count: int

    @staticmethod
    def parse(value: object) -> Shard | None:
        """``2/8``: the second of eight; None for null.

        Raises:
            UserError: anything else.

        >>> Shard.parse("2/8")
        Shard(number=2, count=8)
        """
        if value is None:
            return None
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(value), re.ASCII)
        if match and 1 <= int(match[1]) <= int(match[2]):
            return Shard(int(match[1]), int(match[2]))
        raise UserError(
            expected="NUMBER/COUNT with 1 <= NUMBER <= COUNT, e.g. 2/8, or null for all recordings",
            got=str(value),
            where="shard",
            fix="correct it; in a SLURM array with --array=1-8 it is shard=$SLURM_ARRAY_TASK_ID/8",
        )

    def of(self, items: Sequence[_Item]) -> list[_Item]:
        """The share of a list that all shards have in the same order."""
        return list(items[self.number - 1 :: self.count])

    @contextmanager
    def hold(self, out_path: Path, targets: Iterable[Path]) -> Iterator[None]:
        """Hold this share of the dataset's folder; what was left unfinished of its sequences goes, before and after.

        Raises:
            UserError: another run works on this share, or on the whole.
        """
        targets = list(targets)
        with RunLock(out_path, _KEY, name=f".shard-{self.number}-of-{self.count}{LOCK}"):
            RunLock(out_path, _KEY).refuse_held()
            _tidy(targets)
            try:
                yield
            finally:
                _tidy(targets)


def refuse_shards(out_path: Path) -> None:
    """Refuse to work on the whole dataset while a share of it is under way.

    Raises:
        UserError: which process works on one.
    """
    for path in sorted(out_path.glob(f".shard-*{LOCK}")):
        RunLock(out_path, _KEY, name=path.name).refuse_held()
        path.unlink(missing_ok=True)


def _tidy(targets: Iterable[Path]) -> None:
    for target in targets:
        remove_temporaries(target.parent, target.name)
