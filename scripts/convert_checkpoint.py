"""Checkpoints with pickled objects become plain ones: ``python scripts/convert_checkpoint.py --help``.

Nothing of the input is run: see ``modules/weights/inert_pickle.py``. The output holds the tensors (and the step count)
alone and loads everywhere with ``torch.load(weights_only=True)``.
"""

from __future__ import annotations

import argparse
import logging
import pickle  # for the name of its error
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from models.detection.rnndet.weight_names import describe, in_words
from models.weights import strip_prefix
from modules.weights.inert_pickle import read_inert, tensors_within
from utils.atomic import atomic_path
from utils.commands.cli import run_command
from utils.errors import UserError

log = logging.getLogger(__name__)

_KEPT = ("epoch", "global_step")


def convert(source: Path, target: Path) -> dict[str, Any]:
    """Write the tensors of a checkpoint as a plain Lightning-style checkpoint.

    Args:
        source: file of ``torch.save``: a checkpoint, a state dict or a whole pickled module.
        target: appears whole; ``{"state_dict": tensors}`` with the names of the source, and ``epoch`` and
            ``global_step`` if there.

    Returns:
        what was written.

    Raises:
        UserError: the source is missing, damaged or holds no named tensors, or the target exists.
    """
    if not source.is_file():
        raise UserError(expected="a checkpoint file", got="no such file", where=str(source), fix="check the path")
    if target.exists():
        raise UserError(expected="a new file", got="a file of that name", where=str(target), fix="give another name")
    try:
        content, unknown = read_inert(source)
    except pickle.UnpicklingError as error:
        raise UserError(
            expected="a whole file of torch.save (torch 1.6 or later)",
            got=str(error),
            where=str(source),
            fix="check that the file is complete; older files have to be saved again by a newer torch",
        ) from error
    nested = content.get("state_dict") if isinstance(content, dict) else None
    tensors = tensors_within(content if nested is None else nested)
    if not tensors:
        raise UserError(
            expected="a state dict, a checkpoint with one, or a module",
            got="no named tensors",
            where=str(source),
            fix="give a checkpoint",
        )
    if unknown:
        log.info("replaced, not made: %s", ", ".join(unknown))
    kept = {key: content[key] for key in _KEPT if isinstance(content, dict) and isinstance(content.get(key), int)}
    plain = {"state_dict": tensors, **kept}
    with atomic_path(target) as temporary, temporary.open("wb") as handle:
        try:
            torch.save(plain, handle)
        except RuntimeError as error:  # what torch makes of a write that failed
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
    log.info("%s: %d tensors, %s", target, len(tensors), in_words(describe(strip_prefix(tensors)), channels=True))
    return plain


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(
        description="Write the tensors of a checkpoint to a plain file; objects in it are replaced by placeholders "
        "and nothing of it is run.",
        epilog="example: python scripts/convert_checkpoint.py rvt-s.ckpt plain.ckpt, then weight=plain.ckpt",
    )
    parser.add_argument("source", type=Path, help="checkpoint, state dict or pickled module")
    parser.add_argument("target", type=Path, help="new file")
    options = parser.parse_args(arguments)
    run_command(lambda: convert(options.source, options.target))


if __name__ == "__main__":
    main()
