"""One run a folder: a lock that ends with its process, and a message that says who holds it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from utils.errors import UserError

log = logging.getLogger(__name__)

LOCK = ".run.lock"
_LETTING_GO_S = 2.0


class RunLock:
    """Holds a folder for one run, from ``with`` to its end or to the end of the process, however that came about.

    The lock is ``flock`` on a file of the folder, so a dead process blocks nobody; the file itself stays, with host,
    process id and time of its last holder. Forked children (loader processes) give up their share of it, so that they
    do not hold it longer than their parent. Where the file system knows no locks (some NFS servers), a holder that
    lives on the same host is refused by its process id, others are warned of.

    Args:
        folder: of the run; it is made if it is missing.
    """

    def __init__(self, folder: Path | str) -> None:
        self.path = Path(folder) / LOCK
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        """Take the lock.

        Raises:
            UserError: another process holds it, or the folder cannot be written to.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise folder_error(self.path.parent, error) from error
        _register(self)
        try:
            self._lock(self._descriptor)
        except OSError as error:
            holder = _read(self.path)
            if holder.get("host") == socket.gethostname() and _alive(holder.get("pid")):
                self._refuse(holder)
            log.warning(
                "%s: the file system knows no locks (%s); see to it that no second run uses this folder",
                self.path.parent,
                error.strerror,
            )
        self._sign()
        return self

    def _lock(self, descriptor: int) -> None:
        """Lock the file, also when a killed holder's child, forked in that moment, is still about to let it go."""
        end = time.monotonic() + _LETTING_GO_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                holder = _read(self.path)
                here = holder.get("host") == socket.gethostname() and holder.get("pid") != os.getpid()
                if not here or _alive(holder.get("pid")) or time.monotonic() > end:
                    self._refuse(holder)
            time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back; the file stays."""
        if self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, 0)
            except OSError as failure:  # the folder is gone: nobody is left to be told
                log.debug("%s: %s", self.path, failure)
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _sign(self) -> None:
        assert self._descriptor is not None, "the file is open"
        since = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since})
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def _refuse(self, holder: dict[str, Any]) -> None:
        self._close()
        who = "another run"
        if holder:
            who = f"process {holder.get('pid')} on {holder.get('host')}, running since {holder.get('since')}"
        raise UserError(
            expected="a folder that no other run is using",
            got=who,
            where=f"output.dir={self.path.parent}",
            fix="wait for it or stop it, or start this run in a folder of its own: output.dir=FOLDER",
        )


def folder_error(folder: Path, error: OSError | None) -> UserError:
    """What to tell the user when a folder cannot be written to, or is not the one it was (``error`` None)."""
    return UserError(
        expected="a folder to write to",
        got="another folder than the one the run began in" if error is None else str(error.strerror or error),
        where=f"output.dir={folder}",
        fix="bring the disk or mount back, make room or give write permission, and start the same command again",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_held: list[RunLock] = []


def _register(lock: RunLock) -> None:
    if not _held:
        os.register_at_fork(after_in_child=_forget_all)
    _held.append(lock)


def _forget_all() -> None:
    for lock in _held:
        lock._close()
