"""What the system refuses at the border of a command: files that cannot be written or read, output nobody takes."""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from utils.errors import UserError

log = logging.getLogger(__name__)

NOBODY_READS = 128 + 13
"""Exit status when the program that reads our output has ended (``| head``): as if SIGPIPE had ended ours."""

_AGAIN = "then start the same command again"
_KINDS = (
    (
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        "room to write",
        f"make room or give another place, {_AGAIN}",
    ),
    (
        (errno.EROFS, errno.EACCES, errno.EPERM),
        "a place that may be used",
        "give permission or another place",
    ),
    ((errno.ENAMETOOLONG,), "a name that the file system takes", "give a shorter name"),
    ((errno.ENOENT,), "a file or folder that is there", f"correct the path, or bring the disk or mount back, {_AGAIN}"),
    ((errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY), "a path that fits", "give another path"),
    ((errno.EMFILE, errno.ENFILE), "fewer open files than the system allows", "raise the limit (ulimit -n)"),
)
_ANY_OTHER = ("files that can be read and written", f"check the disk or mount, {_AGAIN}")


def errno_of(error: BaseException) -> int | None:
    """The system's number for an error, also where HDF5 has it in words; None if it has none."""
    code = getattr(error, "errno", None)
    if code is None:
        stated = re.search(r"errno = (\d+)", str(error))
        code = int(stated.group(1)) if stated else None
    return code


def explain_os_error(error: OSError) -> UserError:
    """One message for whatever the system refused.

    >>> print(explain_os_error(OSError(errno.ENOSPC, "No space left on device", "a.json")).fix)
    make room or give another place, then start the same command again
    """
    log.debug("the system refused", exc_info=error)
    code = errno_of(error)
    expected, fix = next(((expected, fix) for codes, expected, fix in _KINDS if code in codes), _ANY_OTHER)
    place = error.filename2 or error.filename
    if isinstance(place, bytes):
        place = os.fsdecode(place)
    got = str(error.strerror or " ".join(str(error).split()) or type(error).__name__)
    return UserError(expected=expected, got=got, where=str(place or "a file, pipe or stream of this command"), fix=fix)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Within it the standard streams are there, and what was printed has gone out at its end.

    Streams that the caller has closed lead nowhere. When the reader of our output has ended, so does the program,
    without a word.

    Raises:
        OSError: what was printed cannot be written, to a full disk for one.
        SystemExit: nobody reads.
    """
    _open_missing()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        _lead_nowhere()
        sys.exit(NOBODY_READS)
    except OSError:
        _lead_nowhere()  # where it cannot be written: Python would try once more at its end, and complain
        raise


def _open_missing() -> None:
    """Python sets streams to None whose descriptor is closed; the next file that is opened would take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number, so that of the stream, unless a library has taken it meanwhile.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _nobody_reads() -> bool:
    """Whether the other end of one of our streams is gone."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _lead_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
