"""Several detectors that label together: what each of them finds is a view of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from utils.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def teacher_files(config: Mapping[str, Any]) -> list[str]:
    """Checkpoints of the detectors that label together: ``checkpoint=FILE`` or ``checkpoint=[FILE,FILE]``.

    Args:
        config: the composed configuration as plain containers.
    """
    given = config["checkpoint"]
    return [str(file) for file in (given if isinstance(given, list) else [given]) if file is not None]


def check_teacher_files(config: Mapping[str, Any]) -> list[str]:
    """As ``teacher_files``, each of which is there, and a teacher of its own.

    Raises:
        UserError: there is none, one is missing, or one is given twice.
    """
    files, given = teacher_files(config), config["checkpoint"]
    listed = isinstance(given, list)
    missing = [file for file in files if not Path(file).is_file()]
    if missing or not files or (listed and len(given) > len(files)):
        raise UserError(
            expected="the teacher's checkpoint",
            got="no such file" if missing else "none among them" if files else "none",
            where=f"checkpoint={missing[0] if missing else given}",
            fix="give checkpoint=[FILE,FILE]; a path with a comma or bracket needs quotes: \"checkpoint=['a,b',c]\""
            if listed
            else "add checkpoint=FILE to the command",
        )
    whole = [Path(file).resolve() for file in files]
    twice = [file for at, file in enumerate(files) if whole[at] in whole[:at]]
    if twice:
        raise UserError(
            expected="teachers that differ: what one finds twice is no agreement",
            got="the same file twice",
            where=f"checkpoint={twice[0]}",
            fix="give each checkpoint once",
        )
    return files


class SequenceDetector(Protocol):
    """What the labeller needs of a detector (``modules.detection.Module`` is one), in evaluation mode."""

    @property
    def device(self) -> torch.device:
        """Where frames are to be sent."""
        ...

    def detect_sequence(self, frames: Tensor, states: Any, is_first: Tensor) -> tuple[list[list[Tensor]], Any]:
        """Detect on frames uint8 [L, B, C, H, W]; detections[t][b] is [n, 7]; returns the new states too."""
        ...


class Teachers:
    """Detectors as one that has lanes of its own for each of them: B lanes become N · B, detector by detector.

    Args:
        detectors: on the same device, in evaluation mode.
    """

    def __init__(self, detectors: Sequence[SequenceDetector]) -> None:
        self.detectors = tuple(detectors)

    @property
    def device(self) -> torch.device:
        """Where frames are to be sent."""
        return self.detectors[0].device

    def detect_sequence(self, frames: Tensor, states: Any, is_first: Tensor) -> tuple[list[list[Tensor]], list[Any]]:
        """Let each detector look at the same frames, with its own states; detections[t][number · B + b] is [n, 7]."""
        before = states or [None] * len(self.detectors)
        found, after = zip(
            *(
                detector.detect_sequence(frames, own, is_first)
                for detector, own in zip(self.detectors, before, strict=True)
            ),
            strict=True,
        )
        return [list(chain(*lanes)) for lanes in zip(*found, strict=True)], list(after)
