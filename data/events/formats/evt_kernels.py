"""Decoding EVT words, one compiled loop for each format.

A loop takes up at the state that the one before left, so that a file can be decoded in pieces. The state is int64
[``STATE``]: see the names below. Times are in microseconds and go on where the clock of the format begins anew; events
before the first time word (and, in EVT3, the first row word) have no time and are counted instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

HIGH, LOW, ROW, BASE, POLARITY, WRAPS, UNDATED, UNKNOWN, FIRST_UNKNOWN = range(9)
"""High bits of the time with clock rounds (-1: none yet), low bits, row (-1: none yet), next column of a vector and its
polarity, rounds of the clock, events without time, words of unknown type, index of the first such word (-1)."""
STATE = 9

MOST_EVENTS = {"EVT2": 1, "EVT2.1": 32, "EVT3": 12}
"""Events that one word can hold."""


def initial_state() -> npt.NDArray[np.int64]:
    """State before the first word."""
    state = np.zeros(STATE, dtype=np.int64)
    state[[HIGH, ROW, FIRST_UNKNOWN]] = -1
    return state


@njit(cache=True, nogil=True)
def _advance(state: Array, high: Any, bits: int) -> None:
    """A time word with ``bits`` bits: more than half the clock back means that it began anew."""
    clock = 1 << bits
    if state[HIGH] >= 0:
        before = state[HIGH] & (clock - 1)
        if before - high > clock >> 1:
            state[WRAPS] += 1
        elif state[WRAPS] > 0 and high - before > clock - (clock >> 8):
            state[WRAPS] -= 1  # a step back across the turn of the clock
    state[HIGH] = state[WRAPS] * clock + high


@njit(cache=True, nogil=True)
def _unknown(state: Array, index: int) -> None:
    state[UNKNOWN] += 1
    if state[FIRST_UNKNOWN] < 0:
        state[FIRST_UNKNOWN] = index


@njit(cache=True, nogil=True)
def decode_evt2(words: Array, first: int, state: Array, t: Array, x: Array, y: Array, p: Array) -> int:
    """Decode uint32 [N]: type 4 bits; CD: time 6, x 11, y 11; time word: 28 high bits. Returns the events written.

    Args:
        words: words of the file from number ``first`` on.
        first: for ``FIRST_UNKNOWN``.
        state: see the module; changed.
        t, x, y, p: room for ``MOST_EVENTS`` a word.
    """
    n = 0
    for i in range(words.size):
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= 1:
            if state[HIGH] < 0:
                state[UNDATED] += 1
                continue
            t[n] = state[HIGH] << 6 | (word >> 22) & 0x3F
            x[n] = (word >> 11) & 0x7FF
            y[n] = word & 0x7FF
            p[n] = kind
            n += 1
        elif kind == 8:
            _advance(state, word & 0xFFFFFFF, 28)
        elif kind != 0xA and kind != 0xE and kind != 0xF:
            _unknown(state, first + i)
    return n


@njit(cache=True, nogil=True)
def decode_evt21(words: Array, first: int, state: Array, t: Array, x: Array, y: Array, p: Array) -> int:
    """Decode uint64 [N]: the upper half as in EVT2, the lower a mask of 32 columns from x on; see ``decode_evt2``."""
    n = 0
    for i in range(words.size):
        upper = np.int64(words[i] >> np.uint64(32))
        mask = np.int64(words[i] & np.uint64(0xFFFFFFFF))
        kind = upper >> 28
        if kind <= 1:
            row, column = upper & 0x7FF, (upper >> 11) & 0x7FF
            time = state[HIGH] << 6 | (upper >> 22) & 0x3F
            while mask:
                if mask & 1:
                    if state[HIGH] < 0:
                        state[UNDATED] += 1
                    else:
                        t[n], x[n], y[n], p[n] = time, column, row, kind
                        n += 1
                mask >>= 1
                column += 1
        elif kind == 8:
            _advance(state, upper & 0xFFFFFFF, 28)
        elif kind != 0xA and kind != 0xE and kind != 0xF:
            _unknown(state, first + i)
    return n


@njit(cache=True, nogil=True)
def decode_evt3(words: Array, first: int, state: Array, t: Array, x: Array, y: Array, p: Array) -> int:
    """Decode uint16 [N]: type 4 bits, then row, column with polarity, vectors or 12 bits of time; see ``decode_evt2``.

    A time-high word that differs from the last begins a new stretch, of which the low bits are 0 until they are told.
    """
    n = 0
    for i in range(words.size):
        word = np.int64(words[i])
        kind, value = word >> 12, word & 0xFFF
        if kind == 2:
            if state[HIGH] < 0 or state[ROW] < 0:
                state[UNDATED] += 1
                continue
            t[n], x[n], y[n], p[n] = state[HIGH] << 12 | state[LOW], value & 0x7FF, state[ROW], value >> 11
            n += 1
        elif kind == 0:
            state[ROW] = value & 0x7FF
        elif kind == 6:
            state[LOW] = value
        elif kind == 4 or kind == 5:
            mask = value if kind == 4 else value & 0xFF
            column = state[BASE]
            state[BASE] += 12 if kind == 4 else 8
            time = state[HIGH] << 12 | state[LOW]
            while mask:
                if mask & 1:
                    if state[HIGH] < 0 or state[ROW] < 0:
                        state[UNDATED] += 1
                    else:
                        t[n], x[n], y[n], p[n] = time, min(column, 0xFFFF), state[ROW], state[POLARITY]
                        n += 1
                mask >>= 1
                column += 1
        elif kind == 3:
            state[BASE], state[POLARITY] = value & 0x7FF, value >> 11
        elif kind == 8:
            before = state[HIGH]
            _advance(state, value, 12)
            if state[HIGH] != before:
                state[LOW] = 0
        elif kind != 7 and kind != 0xA and kind != 0xE and kind != 0xF:
            _unknown(state, first + i)
    return n
