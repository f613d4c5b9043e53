"""Find the newest readable checkpoint of a run; set damaged ones aside."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modules.checkpoints.files import BEST, LAST, DamagedCheckpoint, last_name, load_checkpoint_file
from utils.atomic import remove_temporaries
from utils.errors import UserError

log = logging.getLogger(__name__)

_STEP = re.compile(r"step_(\d{8,})\.ckpt")


def find_newest(folder: Path | str, *, tidy: bool = True) -> tuple[Path, dict[str, Any]] | None:
    """The newest readable checkpoint of a run with its content, or None when the run is new.

    ``last.ckpt`` comes first, then those before it; if none of them can be read, the others of the folder with the most
    steps. A damaged file is reported, renamed to ``NAME.damaged-1`` (-2, ...) and never deleted.

    Args:
        folder: of the run.
        tidy: rename damaged files and remove unfinished ones; only for the process that holds the run's lock.

    Raises:
        UserError: a file cannot be read though it may be whole (permission, vanished disk), or all are damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return None
    if tidy:
        remove_temporaries(folder, "*.ckpt")
    damaged: list[DamagedCheckpoint] = []
    for group in _candidates(folder):
        readable: list[tuple[Path, dict[str, Any]]] = []
        for path in group:
            try:
                state = load_checkpoint_file(path)
            except DamagedCheckpoint as error:
                damaged.append(error)
                _set_aside(path, error, tidy=tidy)
            else:
                readable.append((path, state))
        if readable:
            return max(readable, key=_step_of)
    if damaged:
        names = ", ".join(error.where for error in damaged)
        raise UserError(
            expected="a readable checkpoint among those of the run",
            got="only damaged ones, which are kept under another name (.damaged-N)",
            where=names,
            fix="to begin anew, start the same command again; or bring back a copy of one of them",
        )
    return None


def _step_of(found: tuple[Path, dict[str, Any]]) -> int:
    step = found[1].get("global_step")
    return step if isinstance(step, int) else 0


def _candidates(folder: Path) -> Iterator[list[Path]]:
    """Files to try, best first; of a group the one with the most steps counts."""
    names = {path.name: path for path in folder.iterdir() if path.is_file()}
    ages = sorted(int(age) for name in names for age in re.findall(r"^last-(\d+)\.ckpt$", name))
    for name in [LAST, *(last_name(age) for age in ages)]:
        if name in names:
            yield [names[name]]
    kept = sorted((name for name in names if _STEP.fullmatch(name)), reverse=True)
    yield [names[name] for name in [*kept[:1], BEST] if name in names]
    for name in kept[1:]:
        yield [names[name]]


def _set_aside(path: Path, error: DamagedCheckpoint, *, tidy: bool) -> None:
    if not tidy:
        return
    number = 1
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(target)
    except OSError as failure:
        raise UserError(
            expected="permission to set a damaged checkpoint aside",
            got=str(failure.strerror),
            where=str(path),
            fix="rename or remove it, then start the same command again",
        ) from failure
    log.warning("%s cannot be read (%s); kept as %s, trying the one before it", path, error.got, target.name)
