"""One run a folder: refused while another one lives, never by a dead one."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from utils.commands.run_lock import LOCK, RunLock, start_of
from utils.errors import UserError


def hold(folder: Path, held: Path, child: bool) -> None:
    with RunLock(folder):
        if child:  # as a loader process that outlives its parent for a while
            multiprocessing.get_context("fork").Process(target=time.sleep, args=(5,), daemon=True).start()
        held.touch()
        time.sleep(60)


@pytest.mark.parametrize("child", [False, True])
def test_another_process_is_refused_and_a_dead_one_blocks_nobody(tmp_path: Path, child: bool) -> None:
    folder, held = tmp_path / "run", tmp_path / "held"
    process = multiprocessing.get_context("fork").Process(target=hold, args=(folder, held, child))
    process.start()
    while not held.exists():
        time.sleep(0.01)
    with pytest.raises(UserError) as refused, RunLock(folder):
        pass
    message = str(refused.value)
    assert f"process {process.pid} on {socket.gethostname()}, running since 20" in message
    assert "output.dir" in message
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with RunLock(folder):
        pass


def test_a_child_that_is_just_being_forked_is_waited_for(tmp_path: Path) -> None:
    """The holder was killed right after it forked: its child still has the file open, and lets go in a moment."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0,))
    process.start()
    process.join()
    with open(tmp_path / LOCK, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump({"host": socket.gethostname(), "pid": process.pid, "since": "2020"}, file)
        file.flush()
        threading.Timer(0.1, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with RunLock(tmp_path):
            pass


def test_the_file_says_who_holds_it_and_goes_with_it(tmp_path: Path) -> None:
    with RunLock(tmp_path / "run") as lock:
        assert json.loads((tmp_path / "run" / LOCK).read_text())["pid"] == os.getpid()
        assert not lock.left_behind
    assert not list(tmp_path.iterdir())
    (tmp_path / LOCK).touch()
    with RunLock(tmp_path) as lock:
        assert lock.left_behind, "as after a power cut"
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_removed_between_opening_and_locking_holds_nobody_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = fcntl.flock, []

    def removed_before_the_first(descriptor: int, operation: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            (tmp_path / LOCK).unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before_the_first)
    with RunLock(tmp_path):
        assert len(calls) == 2
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match=r"\.run\.lock in it is a link"), RunLock(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_links_that_lead_out_of_the_folder(tmp_path: Path) -> None:
    run, precious = tmp_path / "run", tmp_path / "precious"
    run.mkdir()
    precious.mkdir()
    (run / "logs").symlink_to(precious)
    (run / "old").mkdir()
    (run / "pictures").symlink_to("old")
    with RunLock(run, inside=("pictures", "new")):
        pass
    with (
        pytest.raises(UserError, match=r"metrics\.csv is, or lies behind, a link to"),
        RunLock(run, inside=("logs/version_0/metrics.csv",)),
    ):
        pass
    assert not list(precious.iterdir())


def test_a_process_id_that_was_given_to_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", no_locks)
    holder = {"host": socket.gethostname(), "pid": os.getppid(), "start": start_of(os.getppid()), "since": "2020"}
    (tmp_path / LOCK).write_text(json.dumps(holder))
    with pytest.raises(UserError, match=f"remove {tmp_path / LOCK}"), RunLock(tmp_path):
        pass
    (tmp_path / LOCK).write_text(json.dumps(holder | {"start": "another boot/7"}))
    with RunLock(tmp_path):
        pass


def no_locks(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fcntl, "flock", no_locks)
    holder = {"host": socket.gethostname(), "pid": os.getppid(), "since": "2020-01-01T00:00:00+00:00"}
    (tmp_path / LOCK).write_text(json.dumps(holder))
    with pytest.raises(UserError, match=f"process {os.getppid()} on"), RunLock(tmp_path):
        pass
    (tmp_path / LOCK).write_text(json.dumps(holder | {"host": "another"}))
    with RunLock(tmp_path):
        assert "knows no locks (No locks available)" in caplog.text


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"pid": "x"}'])
def test_an_unreadable_holder_is_another_run(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK).write_text(text)
    descriptor = os.open(tmp_path / LOCK, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="no other run"), RunLock(tmp_path):
        pass
    os.close(descriptor)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Not a directory"), RunLock(tmp_path / "file" / "run"):
        pass
