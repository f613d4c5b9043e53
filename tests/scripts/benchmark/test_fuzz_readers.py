"""Files that are a little wrong are read or answered with a message; what is not is found and told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from scripts.soak import fuzz_readers
from scripts.soak.fuzz_readers import chosen, fuzz
from scripts.soak.readers.reader import Reader, json_file
from tests.helpers.commands import call
from utils.errors import UserError

WRITE = json_file("a.json", {"a": [1, 2]})


def endless(path: Path) -> None:
    while path.read_bytes() != (path.parent.parent / "sound" / "a.json").read_bytes():
        pass


def test_every_reader(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    assert call(fuzz_readers.main, "fuzz_readers.py", "--mutants", "3", "--report", str(report)) == 0
    text = capsys.readouterr().out
    assert report.read_text() == text
    (total,) = [line for line in text.splitlines() if line.startswith("| all |")]
    assert total.endswith("| 0 | 0 |")
    assert int(total.split("|")[2]) == 3 * len(fuzz_readers.READERS)


def test_tracebacks_and_hangs_are_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def careless(path: Path) -> None:
        if path.read_bytes() != (path.parent.parent / "sound" / "a.json").read_bytes():
            raise KeyError("a")

    def deadly(path: Path) -> None:
        if path.read_bytes() != (path.parent.parent / "sound" / "a.json").read_bytes():
            os.kill(os.getpid(), signal.SIGKILL)

    assert fuzz(Reader("json/a", WRITE, careless), 3, 0, 1.0).counts["traceback"] == 3
    killed = fuzz(Reader("json/a", WRITE, deadly), 2, 0, 1.0)
    assert killed.troubles == [f"json/a, mutant {number}: the process ended: Killed" for number in (0, 1)]
    assert fuzz(Reader("json/a", WRITE, endless), 2, 0, 0.02).counts["too long"] == 2
    monkeypatch.setattr(fuzz_readers, "READERS", (Reader("json/careless", WRITE, careless),))
    assert call(fuzz_readers.main, "fuzz_readers.py", "--mutants", "2") == 1
    assert "json/careless, mutant 0: KeyError: 'a' (test_fuzz_readers.py:" in capsys.readouterr().out


def test_no_such_reader() -> None:
    assert [reader.name for reader in chosen(["json/d*"])] == ["json/done.json"]
    with pytest.raises(UserError, match=r"json/done\.json"):
        chosen(["json/d*", "events/none"])
