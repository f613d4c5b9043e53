"""Files made a little wrong: bits, bytes, numbers, JSON values and members of archives, at random from a seed."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from typing import Any

from utils.arrays import ARRAY_ERRORS

_EDITS = 3
"""Most edits of one file."""
_TOKEN = re.compile(rb"-?\d+(?:\.\d+)?|\"[^\"]*\"|'[^']*'|\w+")
_TOKENS = (b"-1", b"0", b"1e400", b"NaN", b"9" * 30, b"1.5", b'"a"', b"null", b"[]", b"{}", b"true", b"", b",", b"\n")
_VALUES: tuple[Any, ...] = (None, True, -1, 0, 10**30, 1.5, float("nan"), "", "a", [], {}, [None], {"a": 1}, "../..")
_BYTES = (b"\0", b"\xff", b"\x7f", b"\x80")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The content of a file with one to three edits.

    Args:
        data: of a sound file.
        rng: decides what is done.
    """
    for _ in range(rng.randint(1, _EDITS)):
        if data.startswith(b"PK") and rng.random() < 0.7:
            data = _edit_member(data, rng)
        elif data[:1] in (b"{", b"[") and rng.random() < 0.7:
            data = _edit_json(data, rng)
        else:
            data = rng.choice((_flip, _overwrite, _delete, _repeat, _insert, _cut, _replace_token))(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """A place in the file; every second one near its beginning, where headers are."""
    return rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    at, length = _place(data, rng), rng.choice((1, 2, 4, 8, 64))
    new = rng.randbytes(length) if rng.random() < 0.5 else rng.choice(_BYTES) * length
    return data[:at] + new[: len(data) - at] + data[at + length :]


def _delete(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 8, 100)) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at, length = _place(data, rng), rng.choice((1, 8, 100))
    return data[:at] + data[at : at + length] * 2 + data[at + length :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 8, 100))) + data[at:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _replace_token(data: bytes, rng: random.Random) -> bytes:
    tokens = [match.span() for match in _TOKEN.finditer(data)]
    if not tokens:
        return _overwrite(data, rng)
    start, stop = rng.choice(tokens)
    return data[:start] + rng.choice(_TOKENS) + data[stop:]


def _edit_member(data: bytes, rng: random.Random) -> bytes:
    """An archive whose checksums are right and one of whose members is not."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except ARRAY_ERRORS:  # the edit before this one
        return _flip(data, rng)
    if not members:
        return _flip(data, rng)
    name, out = rng.choice(sorted(members)), io.BytesIO()
    members[name] = rng.choice((_flip, _overwrite, _delete, _insert, _cut, _replace_token))(members[name], rng)
    if rng.random() < 0.1:
        del members[name]
    with zipfile.ZipFile(out, "w") as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return out.getvalue()


def _edit_json(data: bytes, rng: random.Random) -> bytes:
    """JSON in which one value is another, or missing."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _replace_token(data, rng)
    whole: Any = [value]
    holder, key = whole, 0
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
        holder = holder[key]
        key = rng.choice(sorted(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    if holder is not whole and rng.random() < 0.3:
        del holder[key]
    else:
        holder[key] = rng.choice(_VALUES)
    return json.dumps(whole[0], indent=2).encode()
