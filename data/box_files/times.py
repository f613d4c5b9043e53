"""When an image was taken: a column of its file, a table, or its number and the rate of the camera."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from pathlib import Path, PurePosixPath

from data.box_files.picture import Picture
from data.box_files.text import bad_line, table_rows, text_lines
from utils.errors import UserError

_UNITS = {"ns": Decimal("0.001"), "us": Decimal(1), "µs": Decimal(1), "ms": Decimal(1000), "s": Decimal(1_000_000)}
_TIME = re.compile(rf"(t|ts|time|timestamp)(?:[\s_(\[]*({'|'.join(_UNITS)})[)\]]?)?")
_LARGEST = 1 << 62
_IMAGE = ("image", "file_name", "filename", "file", "name", "frame", "frame_id", "index")
_HINT = (
    "images have times by a field t_us of their file, by a table (times=, --label-times) or by a rate "
    "(rate_hz=, --label-rate-hz)"
)


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
            number = Decimal(str(value).strip())
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


def time_field(names: Iterable[str]) -> TimeField | None:
    """The field of times among these; its name may end in a unit, else it is in microseconds.

    >>> time_field(["x", "t_ms"])
    TimeField(name='t_ms', factor=Decimal('1000'))
    """
    for name in names:
        match = _TIME.fullmatch(name.strip().casefold().replace("μ", "µ"))
        if match is not None:
            return TimeField(name, _UNITS[match[2] or "us"])
    return None


@dataclass(frozen=True)
class ImageTimes:
    """When images were taken.

    Attributes:
        rate_hz: images a second: image n is (n − first) / rate after ``start_us``.
        start_us: time of the first image, or what is added to the times of table and file.
        first_image: number of the first image; None: 0, or 1 where the layout counts from 1 (MOT).
        table: times in µs by the image's path, name, name without ending, or number.
    """

    rate_hz: float | None = None
    start_us: int = 0
    first_image: int | None = None
    table: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if self.rate_hz is not None and not 0.001 <= self.rate_hz <= 1e9:
            raise UserError(
                expected="images a second, from 0.001 to 1e9", got=f"{self.rate_hz}", where="rate_hz", fix="correct it"
            )
        if abs(self.start_us) >= _LARGEST:
            raise UserError(expected="a time in µs", got=f"{self.start_us}", where="start_us", fix="correct it")

    def of(self, picture: Picture, where: str) -> int:
        """Time of an image in microseconds.

        Raises:
            UserError: nothing says it.
        """
        if self.table is not None:
            return self.start_us + self._looked_up(picture, self.table, where)
        if self.rate_hz is None:
            if picture.time_us is None:
                raise UserError(
                    expected="a time for every image", got=f"none for {picture.name}", where=where, fix=_HINT
                )
            return self.start_us + picture.time_us
        number = picture.number
        if number is None:
            got = f"no number at the end of {picture.name}"
            raise UserError(expected="numbered images, for rate_hz", got=got, where=where, fix=_HINT)
        first = picture.first if self.first_image is None else self.first_image
        us = round((number - first) * 1_000_000 / self.rate_hz)
        if abs(us) >= _LARGEST:
            got = f"number {number} of {picture.name}"
            raise UserError(expected="the number of an image at rate_hz", got=got, where=where, fix=_HINT)
        return self.start_us + us

    def _looked_up(self, picture: Picture, table: Mapping[str, int], where: str) -> int:
        keys = (picture.name, PurePosixPath(picture.name).name, picture.stem, str(picture.number))
        key = next((key for key in keys if key in table), None)
        if key is None:
            got = f"none for {picture.name}"
            raise UserError(
                expected="a time for every image in the table", got=got, where=where, fix="add the image to the table"
            )
        return table[key]


def read_time_table(path: Path) -> dict[str, int]:
    """Times by image: a CSV with columns of images and of times, or a time in µs on each line, of image 0, 1, ...

    Raises:
        UserError: there is no such table, or a time is none.
    """
    lines = list(text_lines(path))
    if not lines:
        raise bad_line("a table of times", "an empty file", str(path), "write a line for each image")
    first = lines[0][1]
    if not re.search(r"[^\W\d_]", first) and not re.search(r"[,;\t ]", first):
        plain = TimeField("t", _UNITS["us"])
        return {str(index): plain.us(line, where) for index, (where, line) in enumerate(lines)}
    head, rows = table_rows(path)
    names = [name.casefold() for name in head]
    field, image = time_field(names), next((name for name in _IMAGE if name in names), None)
    if field is None or (image is None and len(names) > 1):
        raise bad_line("columns image and t_us", ", ".join(head), str(path), "name the columns in the first line")
    table: dict[str, int] = {}
    for index, (where, row) in enumerate(rows):
        key = str(index) if image is None else row[names.index(image)].replace("\\", "/")
        table[key] = field.us(row[names.index(field.name)], where)
    return table
