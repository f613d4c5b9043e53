"""Checkpoints on a scratch disk: a folder elsewhere that the run folder links to, and takes over when the job changes.

Clusters give every job a fast folder, such as ``/checkpoint/USER/JOB``, that is removed some time after the job. With
``output.scratch`` a run writes its checkpoints there. ``output.dir/checkpoints`` is a link to it; a job with another
scratch folder first copies what the one before left, and a run that ends copies its checkpoints into ``output.dir``.
Nothing is removed here.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from modules.checkpoints.files import LAST
from utils.atomic import atomic_path, write_text
from utils.errors import UserError

log = logging.getLogger(__name__)

LINK = "checkpoints"
OWNER = "RUN"
"""Holds the path of the run whose checkpoints a scratch folder has; written when the folder is ready."""

DELAY_PURGE = "DELAYPURGE"
"""Clusters that know a file of this name keep the folder for a while after the job."""


def checkpoint_folder(output: Path | str, scratch: Path | str | None, *, first: bool = True) -> Path:
    """The folder in which a run keeps its checkpoints.

    Args:
        output: of the run.
        scratch: folder for checkpoints, made if it is missing; None: they are kept in ``output``.
        first: whether this is the first process of the run, which sets everything up; another one, which may come
            before that is done, gets a folder that holds the same checkpoints.

    Raises:
        UserError: the scratch folder cannot be written to, or has the checkpoints of another run.
    """
    output = Path(output)
    if scratch is None:
        return output
    scratch = Path(scratch).absolute()
    if not first:
        return scratch if _is_ready(scratch, output) else _before(output) or scratch
    try:
        if not _is_ready(scratch, output):
            scratch.mkdir(parents=True, exist_ok=True)
            (scratch / DELAY_PURGE).touch()
            before = _before(output)
            if before is not None and before != scratch:
                log.info("taking the checkpoints of %s over to %s", before, scratch)
                copy_checkpoints(before, scratch)
            write_text(scratch / OWNER, f"{output.resolve()}\n")
        _point_to(output / LINK, scratch)
    except OSError as error:
        raise UserError(
            expected="a folder for checkpoints that can be written to",
            got=f"{error.strerror} ({error.filename})",
            where=f"output.scratch={scratch}",
            fix="choose another folder, or output.scratch=null to keep checkpoints in output.dir",
        ) from error
    return scratch


def copy_checkpoints(source: Path, target: Path) -> None:
    """Copy all checkpoints of a folder, each whole or not at all, the newest last."""
    for file in sorted(source.glob("*.ckpt"), key=lambda path: (path.name == LAST, path.name)):
        with atomic_path(target / file.name) as temporary:
            shutil.copyfile(file, temporary)


def _is_ready(scratch: Path, output: Path) -> bool:
    owner = scratch / OWNER
    if not owner.is_file():
        return False
    found, mine = owner.read_text(encoding="utf-8").strip(), str(output.resolve())
    if found != mine:
        raise UserError(
            expected=f"a folder for the checkpoints of {mine}",
            got=f"those of {found}",
            where=f"output.scratch={scratch}",
            fix="give every run a scratch folder of its own, e.g. with ${output.name} in its path",
        )
    return True


def _before(output: Path) -> Path | None:
    """Where the run's checkpoints are that were saved before this start."""
    link = output / LINK
    if link.is_symlink() and not link.is_dir():
        log.warning("%s is gone, and with it the checkpoints of this run that were only there", link.readlink())
    return next((folder for folder in (link.resolve(), output) if any(folder.glob("*.ckpt"))), None)


def _point_to(link: Path, folder: Path) -> None:
    if link.is_symlink() and link.readlink() == folder:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.tmp-{os.getpid()}")
    temporary.symlink_to(folder)
    os.replace(temporary, link)
