"""The errors that readers share, so that one mistake reads alike in every format."""

from __future__ import annotations

from pathlib import Path

from utils.errors import UserError


def no_events(where: str) -> UserError:
    """The error for a recording without events."""
    return UserError(
        expected="a recording with events", got="no events", where=where, fix="check the recording, or leave it out"
    )


def damaged(path: Path, got: str) -> UserError:
    """The error for a file of a known format that cannot be read to its end; ``got`` says where it breaks."""
    return UserError(
        expected="a complete recording", got=f"an unreadable file ({got})", where=str(path), fix="copy the file again"
    )


def bad_value(path: Path, expected: str, got: str, fix: str = "correct the file, or write it again") -> UserError:
    """The error for a value that no event can have; ``got`` holds the value and its place in the file."""
    return UserError(expected=expected, got=got, where=str(path), fix=fix)
