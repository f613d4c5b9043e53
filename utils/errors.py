"""Errors that a user can act on: what was expected, what was got, where, and what to do."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in a command, a config, a file or a dataset; shown as one message, exit status 2.

    Args:
        expected: what the program needs, in words.
        got: what it found instead.
        where: the file, config key, sequence or option concerned.
        fix: what the user can do about it.

    >>> print(UserError(expected="a folder", got="a file", where="dataset.path", fix="give the folder"))
    expected: a folder
    got:      a file
    where:    dataset.path
    fix:      give the folder
    """

    exit_status = 2

    def __init__(self, *, expected: str, got: str, where: str, fix: str) -> None:
        self.expected = expected
        self.got = got
        self.where = where
        self.fix = fix
        super().__init__(expected, got, where, fix)

    def __str__(self) -> str:
        return f"expected: {self.expected}\ngot:      {self.got}\nwhere:    {self.where}\nfix:      {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling across worker processes.
        return _rebuild, (self.expected, self.got, self.where, self.fix)


def _rebuild(expected: str, got: str, where: str, fix: str) -> UserError:
    return UserError(expected=expected, got=got, where=where, fix=fix)
