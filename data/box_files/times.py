"""When an image was taken: a column of its file, a table, or its number and the rate of the camera."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from pathlib import Path, PurePosixPath

from data.box_files.picture import Picture, without_ending
from data.box_files.text import agreed_cell, bad_line, contradiction, lines_by_place, table_rows, text_lines
from utils.errors import UserError

_UNITS = {"ns": Decimal("0.001"), "us": Decimal(1), "µs": Decimal(1), "ms": Decimal(1000), "s": Decimal(1_000_000)}
_TIME = re.compile(rf"(t|ts|time|timestamp)(?:[\s_(\[]*({'|'.join(_UNITS)})[)\]]?)?")
_LARGEST = 1 << 62
_ROUNDING = 1
"""Times that differ by this many µs are the same."""
_IMAGE = ("image", "file_name", "filename", "file", "name", "frame", "frame_id", "index")
_BY_TABLE, _BY_RATE = "times (--label-times)", "rate_hz (--label-rate-hz)"
_HINT = f"images have times by a field t_us of their file, by a table, {_BY_TABLE}, or by a rate, {_BY_RATE}"


@dataclass(frozen=True)
class TimeField:
    """A field that holds times, and how many microseconds one of its units is."""

    name: str
    factor: Decimal

    def us(self, value: object, where: str) -> int:
        """A value in microseconds.

        Raises:
            UserError: no time; or a fraction in a field without a unit, which is of another unit.
        """
        try:
            number = Decimal(str(value).strip().replace("_", "no number"))  # Python reads 5_00 as 500
            large = not number.is_finite() or number.adjusted() > 18
            us = Decimal(_LARGEST) if large else number * self.factor
        except DecimalException as error:
            raise bad_line("a time", f"{self.name} = {value}", where) from error
        if abs(us) >= _LARGEST:
            raise bad_line("a time that fits 62 bits in µs", f"{self.name} = {value}", where)
        if self.factor == 1 and us != us.to_integral_value():
            fix = f"write whole microseconds, or name the unit: {self.name}_s, {self.name}_ms"
            raise bad_line("box times in whole microseconds", f"{self.name} = {value}", where, fix)
        return int(us.to_integral_value())


def time_fields(names: Iterable[str]) -> list[TimeField]:
    """The fields of times among these; a name may end in a unit, else it is in microseconds.

    >>> time_fields(["x", "t_ms"])
    [TimeField(name='t_ms', factor=Decimal('1000'))]
    """
    matches = {name: _TIME.fullmatch(name.strip().casefold().replace("μ", "µ")) for name in names}
    return [TimeField(name, _UNITS[match[2] or "us"]) for name, match in matches.items() if match is not None]


def agreed_time(told: Sequence[tuple[TimeField, object]], where: str) -> int:
    """The time in microseconds that fields tell with these values, at least one.

    Raises:
        UserError: no time, or they contradict each other.
    """
    times = [field.us(value, where) for field, value in told]
    if len(times) > 1 and max(times) - min(times) > _ROUNDING:
        raise contradiction([(field.name, value) for field, value in told], where)
    return times[0]


@dataclass(frozen=True)
class ImageTimes:
    """When images were taken.

    Attributes:
        rate_hz: images a second: image n is (n − first) / rate after ``start_us``.
        start_us: time of the first image, or what is added to the times of table and file.
        first_image: number of the first image; None: 0, or 1 where the layout counts from 1 (MOT).
        table: times in µs by the image's path, name, name without ending, or number as text; or by its place among
            the images, from 0 on. In place of a rate.

    Raises:
        UserError: two of these say when, or one of them changes nothing.
    """

    rate_hz: float | None = None
    start_us: int = 0
    first_image: int | None = None
    table: Mapping[str | int, int] | None = None

    def __post_init__(self) -> None:
        if self.rate_hz is not None and not 0.001 <= self.rate_hz <= 1e9:
            raise UserError(
                expected="images a second, from 0.001 to 1e9", got=f"{self.rate_hz}", where="rate_hz", fix="correct it"
            )
        if self.rate_hz is not None and self.table is not None:
            raise UserError(
                expected="times of images by a table or by a rate",
                got="both",
                where=f"{_BY_TABLE}, {_BY_RATE}",
                fix="drop one of them",
            )
        if self.rate_hz is None and self.first_image is not None:
            fix = "drop first_image; images in a table have their times by name, in a column image"
            raise UserError(
                expected="first_image with rate_hz alone: nothing else counts from it",
                got=f"first_image={self.first_image} without rate_hz",
                where="first_image",
                fix=fix,
            )
        if abs(self.start_us) >= _LARGEST:
            raise UserError(expected="a time in µs", got=f"{self.start_us}", where="start_us", fix="correct it")

    def of(self, picture: Picture, where: str) -> int:
        """Time of an image in microseconds.

        Raises:
            UserError: nothing says it, or the file says another time than table or rate.
        """
        us, told = self._without_file(picture, where), picture.time_us
        if us is None:
            us = told
        if us is None:
            raise UserError(expected="a time for every image", got=f"none for {picture.name}", where=where, fix=_HINT)
        if told is not None and abs(us - told) > _ROUNDING:
            setting = _BY_RATE if self.table is None else _BY_TABLE
            raise UserError(
                expected=f"one time for an image, by its file or by {setting}",
                got=f"{told} µs by the file and {us} µs by {setting} for {picture.name}",
                where=where,
                fix=f"drop {setting}, or take the times out of the file",
            )
        return self.start_us + us

    def _without_file(self, picture: Picture, where: str) -> int | None:
        """What table or rate say."""
        if self.table is not None:
            return self._looked_up(picture, self.table, where)
        if self.rate_hz is None:
            return None
        number = picture.number
        if number is None:
            got = f"no number at the end of {picture.name}"
            raise UserError(expected="numbered images, for rate_hz", got=got, where=where, fix=_HINT)
        first = picture.first if self.first_image is None else self.first_image
        us = round((number - first) * 1_000_000 / self.rate_hz)
        if abs(us) >= _LARGEST:
            got = f"number {number} of {picture.name}"
            raise UserError(expected="the number of an image at rate_hz", got=got, where=where, fix=_HINT)
        return us

    def _looked_up(self, picture: Picture, table: Mapping[str | int, int], where: str) -> int:
        number = picture.number
        place = -1 if number is None else number - picture.first
        keys = (picture.name, PurePosixPath(picture.name).name, picture.stem, str(number), place)
        found = {key: table[key] for key in keys if key in table}
        if not found:
            by_place = any(isinstance(key, int) for key in table)
            got = f"none for {picture.name}" + f" in {len(table)} lines, the first for image {picture.first}" * by_place
            raise UserError(
                expected="a time for every image in the table", got=got, where=where, fix="add the image to the table"
            )
        if len(set(found.values())) > 1:
            got = " and ".join(f"{us} µs for {key}" for key, us in found.items())
            raise _two_times(picture.name, got, where)
        return next(iter(found.values()))


def read_time_table(path: Path) -> dict[str | int, int]:
    """Times by image: a CSV with columns of images and of times, or a time in µs on each line, of one image each.

    Returns:
        times by what the column calls the images, with and without their endings, or by place, from 0 on.

    Raises:
        UserError: there is no such table, a time is none, or an image has two.
    """
    first = next((line for _, line in text_lines(path)), None)
    if first is None:
        raise bad_line("a table of times", "an empty file", str(path), "write a line for each image")
    if not re.search(r"[^\W\d_]", first) and not re.search(r"[,;\t ]", first):
        plain = TimeField("t", _UNITS["us"])
        return {place: plain.us(line, where) for place, (where, line) in enumerate(lines_by_place(path))}
    head, rows = table_rows(path)
    names = [name.casefold() for name in head]
    fields = [(field, at) for field in time_fields(names) for at, name in enumerate(names) if name == field.name]
    images = next((found for word in _IMAGE if (found := [at for at, name in enumerate(names) if name == word])), None)
    if not fields or (images is None and len(names) > len(fields)):
        raise bad_line("columns image and t_us", ", ".join(head), str(path), "name the columns in the first line")
    if images is None:
        lines_by_place(path)
    table: dict[str | int, int] = {}
    for place, (where, row) in enumerate(rows):
        key = place if images is None else agreed_cell(row, images, head, where).replace("\\", "/")
        us = agreed_time([(field, row[at]) for field, at in fields], where)
        if table.setdefault(key, us) != us:
            raise _two_times(str(key), f"{table[key]} and {us} µs", where)
    for name in [key for key in table if isinstance(key, str)]:  # some layouts know images without their endings
        bare, us = without_ending(name), table[name]
        if table.setdefault(bare, us) != us:
            raise _two_times(bare, f"{table[bare]} and {us} µs", str(path))
    return table


def _two_times(image: str, got: str, where: str) -> UserError:
    return bad_line(f"one time for {image} in the table", got, where, "remove the wrong line")
