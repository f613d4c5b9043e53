"""One command a folder: a lock that ends with its process, and a message that says who holds it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from utils.errors import UserError

log = logging.getLogger(__name__)

LOCK = ".run.lock"
_LETTING_GO_S = 2.0
_SIGNING_S = 0.2


class RunLock:
    """Holds a folder for one command, from ``with`` to its end or to the end of the process, however that came about.

    The lock is ``flock`` on a file of the folder, so a dead process blocks nobody; the file says host, process id and
    time of its holder, and stays only when that was killed. Forked children (loader processes) give up their share of
    it, so that they do not hold it longer than their parent. Where the file system knows no locks (some NFS servers), a
    holder that lives on the same host is refused by its process id and start, others are warned of.

    Args:
        folder: of the command; it is made if it is missing.
        key: what the user sets to the folder, for messages.
        name: of the file, where a command holds less than the whole folder.
        inside: files and folders of it that the command will write to; no link may lead them elsewhere.

    Attributes:
        left_behind: the last holder was killed, and may have left unfinished work.
    """

    def __init__(
        self, folder: Path | str, key: str = "output.dir", name: str = LOCK, inside: Iterable[str] = ()
    ) -> None:
        self.path, self.key, self.inside = Path(folder) / name, key, tuple(inside)
        self.left_behind = self._made = False
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        """Take the lock.

        Raises:
            UserError: another process holds it, the folder cannot be written to, or a link leads out of it.
        """
        _refuse_leaving(self.path.parent, self.inside, self.key)
        try:
            self._made = not self.path.parent.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._take()
            self._sign()
        except OSError as error:
            self._withdraw()
            why = OSError(f"{self.path.name} in it is a link") if self.path.is_symlink() else error
            raise folder_error(self.path.parent, why, self.key) from error
        _held.append(self)
        return self

    def _take(self) -> None:
        """Open the file and lock it, again if its last holder removed it in between."""
        while True:
            self.left_behind = self.path.exists()
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            self._try_lock(self._descriptor)
            if self._is_ours():
                return
            self._close()

    def _is_ours(self) -> bool:
        assert self._descriptor is not None, "the file is open"
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self.path))
        except FileNotFoundError:
            return False

    def _try_lock(self, descriptor: int) -> None:
        try:
            self._lock(descriptor)
        except OSError as error:
            holder = _read(self.path)
            if holder.get("host") == socket.gethostname() and _alive(holder):
                self._refuse(holder)
            log.warning(
                "%s: the file system knows no locks (%s); see to it that no second run uses this folder",
                self.path.parent,
                error.strerror,
            )

    def _lock(self, descriptor: int, kind: int = fcntl.LOCK_EX) -> None:
        """Lock the file, also when a killed holder's child, forked in that moment, is still about to let it go.

        A holder that has not signed the file yet, or has just removed it, is given a moment, too.
        """
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                holder = _read(self.path)
                here = holder.get("host") == socket.gethostname() and holder.get("pid") != os.getpid()
                patience = _LETTING_GO_S if here and not _alive(holder) else 0.0 if holder else _SIGNING_S
                if time.monotonic() - began >= patience:
                    self._refuse(holder)
            time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back and remove the file, which nobody can have locked meanwhile; a folder of no use, too."""
        if self._descriptor is not None:
            self._withdraw()
            _held.remove(self)

    def _withdraw(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):  # the folder is gone: nobody is left to be told
                if self._is_ours():
                    self.path.unlink()
                if self._made:
                    self.path.parent.rmdir()  # fails where there is anything in it
        self._close()

    def refuse_held(self) -> None:
        """Look whether another process holds the folder, without taking it.

        Raises:
            UserError: one does.
        """
        with suppress(FileNotFoundError):
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                self._lock(self._descriptor, fcntl.LOCK_SH)
            except OSError:  # no locks here: ``_try_lock`` says so
                if _alive(_read(self.path)):
                    self._refuse(_read(self.path))
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _sign(self) -> None:
        assert self._descriptor is not None, "the file is open"
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "start": start_of(os.getpid()), "since": since}
        text = json.dumps(holder)
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
            where=f"{self.key}={self.path.parent}",
            fix="wait for it or stop it, or start this run in a folder of its own: "
            f"{self.key}={'FOLDER' if self.path.name == LOCK else 'FILE'}; "
            f"if that process is no more (another host went down), remove {self.path}",
        )


def _refuse_leaving(folder: Path, names: Iterable[str], key: str) -> None:
    for name in names:
        real = (folder / name).resolve()
        if not real.is_relative_to(folder.resolve()):
            raise UserError(
                expected="files of this run in its own folder",
                got=f"{name} is, or lies behind, a link to {real}",
                where=f"{key}={folder}",
                fix="remove the link, or give another folder",
            )


def folder_error(folder: Path, error: OSError | None, key: str = "output.dir") -> UserError:
    """What to tell the user when a folder cannot be written to, or is not the one it was (``error`` None)."""
    return UserError(
        expected="a folder to write to",
        got="another folder than the one the run began in" if error is None else str(error.strerror or error),
        where=f"{key}={folder}",
        fix="bring the disk or mount back, make room or give write permission, and start the same command again",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def start_of(pid: int) -> str | None:
    """When a process of this host started: its boot, and clock ticks since then; None where the system does not say.

    Two processes that had the same id differ in it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path(f'/proc/{pid}/stat').read_text(encoding='utf-8').rpartition(')')[2].split()[19]}"
    except (OSError, ValueError, IndexError):
        return None


def _alive(holder: dict[str, Any]) -> bool:
    """Whether the very process that signed the file lives on this host."""
    pid, start = holder.get("pid"), holder.get("start")
    if not isinstance(pid, int) or pid == os.getpid():
        return False
    if start is not None and start_of(pid) not in (start, None):
        return False  # its id was given to another one
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_held: list[RunLock] = []


def _forget_all() -> None:
    for lock in _held:
        lock._close()


os.register_at_fork(after_in_child=_forget_all)
