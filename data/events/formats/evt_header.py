"""Headers of Prophesee RAW files, in the dialects of old and new recorders.

Lines ``% key value`` stand before the first word, ``% end`` may close them. The format is told by ``% evt 3.0``, by
``% format EVT3;height=720;width=1280`` or by both; the size by that line, by ``% geometry 1280x720`` or, in files of
early cameras, only by the name of the camera's plugin. ``% t0 5`` (faery) says what was taken off all times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from data.events.problems import bad_value
from utils.errors import UserError

_MAX_HEADER_BYTES = 1 << 16
_FORMATS = {"2": "EVT2", "2.0": "EVT2", "2.1": "EVT2.1", "3": "EVT3", "3.0": "EVT3", "21": "EVT2.1"}
WORD_BYTES = {"EVT2": 4, "EVT2.1": 8, "EVT3": 2}
_LINE = re.compile(rb"% +([\x21-\x7e]+)([ \t]+[\x20-\x7e\x80-\xff\t]*)?\r?")
"""As OpenEB has it: a percent sign, a blank, a key. Bytes that begin a first word differ in one of the three."""

_FIRST_LITTLE_SYSTEM = 0x37
"""Prophesee's systems with a smaller ``% system_ID`` wrote EVT2.1 in the older order, without saying so."""

_PLUGIN_SIZES = {
    "gen3": (480, 640),
    "gen31": (480, 640),
    "gen4": (720, 1280),
    "gen41": (720, 1280),
    "imx636": (720, 1280),
    "genx320": (320, 320),
}


@dataclass(frozen=True)
class EvtHeader:
    """What the head of a RAW file says.

    Attributes:
        format: ``EVT2``, ``EVT2.1`` or ``EVT3``.
        hw: sensor height and width, None where the file does not say.
        likely_hw: those of the camera that its plugin's name tells of, if any.
        swapped: EVT2.1 with the two 32-bit halves of each word in the older order.
        data_offset: byte at which words start.
        num_words: whole words in the file.
        cut_bytes: bytes behind the last whole word.
        t0_us: what is to be added to all times, microseconds.
    """

    format: str
    hw: tuple[int, int] | None
    likely_hw: tuple[int, int] | None
    swapped: bool
    data_offset: int
    num_words: int
    cut_bytes: int
    t0_us: int


def split_header(head: bytes) -> tuple[dict[str, str], int]:
    """The ``% key value`` lines at the start of a file and the offset behind them; keys in lower case."""
    fields: dict[str, str] = {}
    position = 0
    while head[position : position + 1] == b"%":
        end = head.find(b"\n", position)
        line = _LINE.fullmatch(head, position, end) if end > 0 else None
        if line is None:
            break  # the first word of the data begins with the code of a percent sign
        position = end + 1
        key, value = line[1].decode("ascii").lower(), (line[2] or b"").decode("latin-1").strip()
        if key == "end":
            break
        fields[key] = value
    return fields, position


def names_evt(head: bytes) -> bool:
    """The header lines at the start of a file say that it is of an EVT format, known here or not."""
    fields, _ = split_header(head)
    return "evt" in fields or fields.get("format", "").upper().startswith("EVT")


def read_evt_header(path: Path | str) -> EvtHeader:
    """Read and check the head of a RAW file.

    Raises:
        UserError: another format, a contradiction, or a size that is none.
    """
    path = Path(path)
    with path.open("rb") as handle:
        head = handle.read(_MAX_HEADER_BYTES)
    size = path.stat().st_size
    fields, offset = split_header(head)
    if "end" not in fields and offset >= _MAX_HEADER_BYTES - 1:
        raise bad_value(path, "a header of at most 64 KiB", f"header lines up to byte {offset}")
    kind, options = _format(path, fields)
    width_bytes = WORD_BYTES[kind]
    words, cut = divmod(size - offset, width_bytes)
    return EvtHeader(
        format=kind,
        hw=_size(path, fields, options),
        likely_hw=_likely_size(fields),
        swapped=kind == "EVT2.1" and _legacy(fields, options),
        data_offset=offset,
        num_words=words,
        cut_bytes=cut,
        t0_us=_time_offset(path, fields),
    )


def _legacy(fields: dict[str, str], options: dict[str, str]) -> bool:
    """EVT2.1 in the older order, by OpenEB's rule: an option of the format, a line, or the system and who made it."""
    stated = options.get("endianness") or fields.get("endianness")
    if stated:
        return stated.lower() == "legacy"
    names = {fields.get(f"{part}_integrator_name", "") for part in ("plugin", "camera")}
    names = names if any(names) else {fields.get("integrator_name") or "Prophesee"}
    system = fields.get("system_id", "")
    return names == {"Prophesee"} and system.isascii() and system.isdigit() and 0 < int(system) < _FIRST_LITTLE_SYSTEM


def _time_offset(path: Path, fields: dict[str, str]) -> int:
    text = fields.get("t0", "0")
    if re.fullmatch(r"[0-9]{1,18}", text) is None:
        raise bad_value(path, "a whole number of microseconds after '% t0'", repr(text[:40]), "correct the header")
    return int(text)


def _format(path: Path, fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    name, *rest = [part.strip() for part in fields.get("format", "").split(";")]
    options = dict(part.split("=", 1) for part in rest if "=" in part)
    stated = [(f"% evt {fields['evt']}", fields["evt"])] if "evt" in fields else []
    stated += [(f"% format {name}", name.upper().removeprefix("EVT"))] if name else []
    kinds = {_FORMATS.get(version) for _, version in stated}
    if None in kinds or len(kinds) != 1:
        raise UserError(
            expected="a RAW file of format EVT2, EVT2.1 or EVT3",
            got=" and ".join(f"'{line}'" for line, _ in stated) or "no format in the header",
            where=str(path),
            fix="record or convert it to EVT3",
        )
    return str(kinds.pop()), options


def _size(path: Path, fields: dict[str, str], options: dict[str, str]) -> tuple[int, int] | None:
    sizes: dict[str, tuple[int, int]] = {}
    if "geometry" in fields:
        sizes[f"% geometry {fields['geometry']}"] = _pixels(path, *_pair(fields["geometry"]))
    if "height" in options or "width" in options:
        text = f"% format ...;height={options.get('height', '')};width={options.get('width', '')}"
        sizes[text] = _pixels(path, options.get("width", ""), options.get("height", ""))
    if len(set(sizes.values())) > 1:
        raise bad_value(path, "one sensor size in the header", " and ".join(f"'{line}'" for line in sizes))
    return next(iter(sizes.values()), None)


def _likely_size(fields: dict[str, str]) -> tuple[int, int] | None:
    parts = fields.get("plugin_name", "").split("_")
    return next((_PLUGIN_SIZES[part] for part in parts if part in _PLUGIN_SIZES), None)


def _pair(text: str) -> tuple[str, str]:
    width, _, height = text.lower().partition("x")
    return width.strip(), height.strip()


def _pixels(path: Path, width: str, height: str) -> tuple[int, int]:
    for value in (width, height):
        if re.fullmatch(r"[0-9]{1,5}", value) is None or not 0 < int(value) <= 1 << 11:
            expected = "a sensor size WIDTHxHEIGHT in the header, each from 1 to 2048"
            raise bad_value(path, expected, f"'{width}' and '{height}'", "correct the header")
    return int(height), int(width)
