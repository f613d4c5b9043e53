"""One way to write down a bad input: what it is, how our code meets it, what the message must say.

A test module makes a list of cases and runs each of them::

    CASES = [
        BadInput("recordings", "a `.dat` cut in the middle of an event", act=cut_dat, expect=("bytes", "fix:")),
    ]

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_bad_recording(case, tmp_path):
        check(case, tmp_path)

``act(folder)`` makes the bad thing in an empty folder and lets our code meet it: by a call that raises ``UserError``,
or by ``command(program, *arguments)``. ``check`` sees to the rest: one message, status 2, nothing half-written, no
hanging. docs/MISTAKES.md is the table of all of them, see ``tests/docs/test_mistakes_page.py``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.commands import run
from utils.errors import UserError

SOURCES = (
    "tests.data.preprocessing.test_preprocessing_mistakes",
    "tests.scripts.datasets.test_inspect_dataset",
    "tests.scripts.test_bad_settings",
)
"""Modules with a list ``CASES``, in the order of docs/MISTAKES.md."""

PAGE_AND_SOURCES = ("test_mistakes_page.py", *(f"{name.replace('.', '/')}.py" for name in SOURCES))
"""Files that run in one process, so that no case runs twice."""

TIMEOUT_S = 60
"""No bad input may keep us longer than this; a test run is far below it."""


@dataclass(frozen=True)
class BadInput:
    """A bad input and the message it must give.

    Attributes:
        group: heading of the table it belongs to: recordings, preprocessing, datasets, settings.
        name: what is wrong, in words; unique in its group.
        act: makes the bad thing in an empty folder and runs our code on it, which must raise UserError.
        expect: parts that the message must have.
        leaves: glob patterns, relative to the folder, of files that our code may have written whole before it found
            the mistake. Everything else must be as ``act`` itself made it: see ``made``.
        made: folders, relative, in which ``act`` makes its bad things; all other new files count as ours.
    """

    group: str
    name: str
    act: Callable[[Path], object]
    expect: tuple[str, ...]
    leaves: tuple[str, ...] = ()
    made: tuple[str, ...] = ("in",)

    def __str__(self) -> str:
        return re.sub(r"\W+", "-", f"{self.group}-{self.name}").strip("-")


def command(program: str, *arguments: object) -> None:
    """Run a command in this process; its message and status 2 become the UserError that they told.

    Raises:
        UserError: the command ended with status 2 and one message.
    """
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard):
        status = run(program, *(str(argument) for argument in arguments))
    told = heard.getvalue()
    assert "Traceback" not in told, told
    if status == 0:
        return
    assert status == UserError.exit_status, f"exit status {status}\n{told}"
    messages = re.findall(r"^expected: (.*)\ngot: +(.*)\nwhere: +(.*)\nfix: +(.*)$", told, flags=re.MULTILINE)
    assert len(messages) == 1, told
    expected, got, where, fix = messages[0]
    raise UserError(expected=expected, got=got, where=where, fix=fix)


def check(case: BadInput, folder: Path) -> UserError:
    """Meet a bad input; returns the error, its temporary folder replaced by ``...``.

    Asserts that a UserError came, in time, that its message has the expected parts, and that no file was left beside
    what ``case`` allows: no temporary file, no half of anything.
    """
    error: UserError | None = None
    with time_limit(TIMEOUT_S):
        try:
            case.act(folder)
        except UserError as caught:
            error = caught
    assert error is not None, f"{case.name}: accepted without a word"
    for part in case.expect:
        assert part in str(error), f"{part!r} is not in\n{error}"
    left = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink()]
    ours = [path for path in left if path.parts[0] not in case.made and not any(map(path.match, case.leaves))]
    assert not ours, f"{case.name}: left {', '.join(map(str, ours))}"
    assert not [path for path in folder.rglob("*") if ".tmp" in path.name], "temporary files are left"
    MESSAGES[str(case)] = tidy(error, folder)
    return MESSAGES[str(case)]


MESSAGES: dict[str, UserError] = {}
"""What the cases checked so far in this process said; docs/MISTAKES.md is made of it."""


def tidy(error: UserError, folder: Path) -> UserError:
    """The same error on every machine: the folder's path becomes ``...``."""

    def clean(text: str) -> str:
        return text.replace(f"{folder}/", ".../").replace(str(folder), "...")

    return UserError(
        expected=clean(error.expected), got=clean(error.got), where=clean(error.where), fix=clean(error.fix)
    )


def content(folder: Path) -> str:
    """Hash of all files below a folder, to show that nothing was changed."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread after so many seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: object) -> None:
        raise TimeoutError(f"still busy after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
