"""Parsing lines of numbers without losing a digit: decimal text to whole microseconds and pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

OK, NOT_A_NUMBER, TOO_FEW, TOO_MANY, BAD_COORDINATE, BAD_TIME = range(6)
CONSUMED, PROBLEM, POSITION, LINE = range(4)
"""What ``parse_lines`` reports: bytes that were used up, the problem, where it is and where its line begins."""

IGNORED = -1
_SPACE, _TAB, _RETURN, _NEWLINE = 32, 9, 13, 10
_MINUS, _PLUS, _POINT, _ZERO, _NINE = 45, 43, 46, 48, 57
_MOST_DIGITS = 18
_LARGEST = (1 << 16) - 1


@njit(cache=True, nogil=True)
def _skip_blanks(data: Array, i: int, end: int) -> int:
    while i < end and (data[i] == _SPACE or data[i] == _TAB or data[i] == _RETURN):
        i += 1
    return i


@njit(cache=True, nogil=True)
def _digits(data: Array, i: int, end: int, mantissa: Any, count: int) -> tuple[int, int, int, int]:
    """Digits from ``i`` on: position behind them, mantissa, significant digits in it, digits that found no room."""
    lost = 0
    while i < end and _ZERO <= data[i] <= _NINE:
        if count < _MOST_DIGITS:
            mantissa = mantissa * 10 + (np.int64(data[i]) - _ZERO)
            count += mantissa > 0
        else:
            lost += 1
        i += 1
    return i, mantissa, count, lost


@njit(cache=True, nogil=True)
def _number(data: Array, start: int, end: int) -> tuple[int, int, int, bool]:
    """A decimal number from ``start`` on: position behind it, mantissa, power of ten, whether it is one."""
    i = start
    negative = i < end and data[i] == _MINUS
    if i < end and (data[i] == _MINUS or data[i] == _PLUS):
        i += 1
    begin = i
    i, mantissa, count, power = _digits(data, i, end, 0, 0)
    given = i - begin
    if i < end and data[i] == _POINT:
        begin = i + 1
        i, mantissa, count, lost = _digits(data, begin, end, mantissa, count)
        given += i - begin
        power -= i - begin - lost
    if given == 0:
        return i, 0, 0, False
    if i < end and (data[i] == 101 or data[i] == 69):  # e, E
        i += 1
        minus = i < end and data[i] == _MINUS
        if i < end and (data[i] == _MINUS or data[i] == _PLUS):
            i += 1
        begin = i
        i, exponent, _, lost = _digits(data, i, end, 0, 0)
        if i == begin or lost or exponent > 1000:
            return i, 0, 0, False
        power += -exponent if minus else exponent
    return i, -mantissa if negative else mantissa, power, True


@njit(cache=True, nogil=True)
def _scaled(mantissa: int, power: int) -> tuple[int, bool, bool]:
    """``mantissa * 10 ** power`` rounded to a whole number, whether it was one, whether it fits."""
    if mantissa == 0:
        return 0, True, True
    exact = True
    while power > 0:
        if abs(mantissa) > (1 << 62) // 10:
            return 0, False, False
        mantissa, power = mantissa * 10, power - 1
    if power < 0:
        if power < -_MOST_DIGITS:
            return 0, False, True
        unit = 10**-power
        size = abs(mantissa)
        exact = size % unit == 0
        size = size // unit + (2 * (size % unit) >= unit)
        mantissa = size if mantissa > 0 else -size
    return mantissa, exact, True


@njit(cache=True, nogil=True)
def _line(data: Array, i: int, end: int, separator: int, columns: Array, t_power: int, row: Array) -> tuple[int, int]:
    """One line into ``row`` int64 [4] (t, x, y, p); returns the problem and its position."""
    for k in range(columns.size):
        i = _skip_blanks(data, i, end)
        if k > 0 and separator != _SPACE:
            if i >= end:
                return TOO_FEW, i
            if data[i] != separator:
                return NOT_A_NUMBER, i
            i = _skip_blanks(data, i + 1, end)
        if i >= end:
            return TOO_FEW, i
        column = columns[k]
        if column == IGNORED:
            while i < end and data[i] != separator and not (separator == _SPACE and data[i] == _TAB):
                i += 1
            continue
        begin = i
        i, mantissa, power, sound = _number(data, i, end)
        if not sound:
            return NOT_A_NUMBER, i if i >= end else begin
        value, exact, fits = _scaled(mantissa, power + (t_power if column == 0 else 0))
        if column == 0 and not fits:
            return BAD_TIME, begin
        if (column == 1 or column == 2) and not (fits and exact and 0 <= value <= _LARGEST):
            return BAD_COORDINATE, begin
        row[column] = value if column < 3 or (fits and exact) else int(mantissa > 0)
    i = _skip_blanks(data, i, end)
    return (OK, i) if i >= end else (TOO_MANY if columns.size > 1 else NOT_A_NUMBER, i)


@njit(cache=True, nogil=True)
def parse_lines(
    data: Array, last: bool, separator: int, columns: Array, t_power: int, rows: Array, result: Array
) -> int:
    """Parse the lines of a block; stops at the first problem. Returns the number of events.

    Args:
        data: uint8 [N].
        last: the file ends with this block; otherwise a line without an end stays for the next.
        separator: code of ``,`` or ``;``, or of a space for any run of spaces and tabs.
        columns: int64, what each column of the file is: 0 t, 1 x, 2 y, 3 p, -1 none of them.
        t_power: power of ten that makes times microseconds.
        rows: int64 [M, 4], room for the events: a line has at least 8 bytes with its end, the last one 7.
        result: int64 [4], see ``CONSUMED``.
    """
    n = start = 0
    while start < data.size:
        end = start
        while end < data.size and data[end] != _NEWLINE:
            end += 1
        if end == data.size and not last:
            break
        i = _skip_blanks(data, start, end)
        if i < end and data[i] != 35 and data[i] != 37 and data[i] != 47:  # neither blank nor a comment: # % /
            problem, position = _line(data, i, end, separator, columns, t_power, rows[n])
            if problem != OK:
                result[:] = (start, problem, position, start)
                return n
            n += 1
        start = end + 1
    result[:] = (min(start, data.size), OK, 0, 0)
    return n
