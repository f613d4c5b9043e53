"""What the system refuses becomes one message; output that nobody takes ends a command without a word."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from utils.commands.cli import run_command
from utils.commands.system_errors import NOBODY_READS, errno_of, explain_os_error


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, "room to write"),
        (errno.EDQUOT, "room to write"),
        (errno.EROFS, "a place that may be used"),
        (errno.EACCES, "a place that may be used"),
        (errno.ENOENT, "a file or folder that is there"),
        (errno.ENAMETOOLONG, "a name that the file system takes"),
        (errno.EISDIR, "a path that fits"),
        (errno.EMFILE, "fewer open files"),
        (errno.EIO, "files that can be read and written"),
        (errno.ESTALE, "files that can be read and written"),
    ],
)
def test_each_refusal_has_its_advice(capsys: pytest.CaptureFixture[str], code: int, expected: str) -> None:
    def refused() -> None:
        raise OSError(code, os.strerror(code), "half.json", None, "whole.json")

    with pytest.raises(SystemExit) as stop:
        run_command(refused)
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert f"expected: {expected}" in err
    assert f"got:      {os.strerror(code)}" in err
    assert "where:    whole.json" in err
    assert "Traceback" not in err


def test_hdf5_says_it_in_words() -> None:
    error = OSError("Unable to write (file write failed: ..., errno = 28, error message = 'No space left on device')")
    assert errno_of(error) == errno.ENOSPC
    assert explain_os_error(error).expected == "room to write"
    assert errno_of(OSError("file signature not found")) is None


def test_a_full_disk_behind_the_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as stop:
            run_command(lambda: print("figures"))
        full.flush()  # leads nowhere now
    assert stop.value.code == 2
    assert "got:      No space left on device" in capsys.readouterr().err


def test_a_reader_that_has_ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as stop:
            run_command(lambda: print("figures"))
    assert stop.value.code == NOBODY_READS == 141
    assert capsys.readouterr().err == ""


def test_another_broken_pipe_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    with pytest.raises(SystemExit) as stop:
        run_command(broken)
    assert stop.value.code == 2
    assert "Broken pipe" in capsys.readouterr().err


def test_a_closed_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    run_command(lambda: print("figures"))
    assert sys.stdout.name != 1  # type: ignore[attr-defined] # that of the tests
    sys.stdout.close()
