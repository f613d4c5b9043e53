"""What a record of a sequence tells of files that were replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.sequences.record import SequenceCounts, check_size, write_record
from utils.errors import UserError


def test_a_file_of_another_size_is_told(tmp_path: Path) -> None:
    file, link = tmp_path / "a" / "frames" / "events.h5", tmp_path / "b" / "events.h5"
    file.parent.mkdir(parents=True)
    link.parent.mkdir()
    file.write_bytes(b"events")
    link.symlink_to(file)
    check_size(file)  # nothing is known of it
    write_record(tmp_path / "a", "a.dat", {}, SequenceCounts("a"), {})
    check_size(file)
    check_size(link)
    file.write_bytes(b"of another recording")
    for path in (file, link):
        with pytest.raises(UserError, match="of 20 bytes: it was replaced since") as mistake:
            check_size(path)
        assert mistake.value.where == str(path)
        assert "of 6 bytes" in mistake.value.expected
