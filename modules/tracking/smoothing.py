"""Boxes of whole tracks smoothed from both ends (Rauch, Tung and Striebel), compiled."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ANY_SPEED = 100.0
"""Variance of the speed before anything is known: so large that both directions of time give the same."""


@numba.njit(cache=True)
def smooth_tracks(
    first: IntArray, frames: IntArray, values: FloatArray, noise: FloatArray, drift: float
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Smooth the values of tracks with constant velocity, in every frame between their first and last box.

    Noise is relative to the size of a box; a track's size drops out of the gains, so that one covariance serves all
    columns.

    Args:
        first: index of each track's first box, and the number of boxes [K + 1].
        frames: of the boxes, ascending within a track [N].
        values: coordinates of the boxes [N, C].
        noise: variance of each box [N].
        drift: variance of a change of speed in a frame.

    Returns:
        Index of each track's first frame, and the number of frames [K + 1]; values [M, C] and their velocities [M, C]
        in every frame of every track's span.
    """
    num_tracks, columns = len(first) - 1, values.shape[1]
    start = np.zeros(num_tracks + 1, dtype=np.int64)
    for track in range(num_tracks):
        start[track + 1] = start[track] + frames[first[track + 1] - 1] - frames[first[track]] + 1
    place, speed = np.zeros((start[-1], columns)), np.zeros((start[-1], columns))
    after = np.zeros((start[-1], 3))  # covariance with the box of the frame: position, both, velocity
    for track in range(num_tracks):
        box, begin, end = first[track], start[track], start[track + 1]
        for row in range(begin, end):
            if row == begin:
                p, both, v = noise[box], 0.0, ANY_SPEED
                place[row] = values[box]
                box += 1
            else:
                p, both, v = foreseen(after[row - 1], drift)
                place[row] = place[row - 1] + speed[row - 1]
                speed[row] = speed[row - 1]
                if frames[box] - frames[first[track]] == row - begin:
                    gain, gain_speed = p / (p + noise[box]), both / (p + noise[box])
                    rest = values[box] - place[row]
                    place[row] += gain * rest
                    speed[row] += gain_speed * rest
                    p, both, v = (1 - gain) * p, (1 - gain) * both, v - gain_speed * both
                    box += 1
            after[row, 0], after[row, 1], after[row, 2] = p, both, v
        for row in range(end - 2, begin - 1, -1):
            p, both, v = after[row]
            p_next, both_next, v_next = foreseen(after[row], drift)
            det = p_next * v_next - both_next * both_next
            # gain = P Fᵀ P⁻¹ with F = [1 1; 0 1]
            a, b, c, d = p + both, both, both + v, v
            g00, g01 = (a * v_next - b * both_next) / det, (b * p_next - a * both_next) / det
            g10, g11 = (c * v_next - d * both_next) / det, (d * p_next - c * both_next) / det
            rest = place[row + 1] - place[row] - speed[row]
            rest_speed = speed[row + 1] - speed[row]
            place[row] += g00 * rest + g01 * rest_speed
            speed[row] += g10 * rest + g11 * rest_speed
    return start, place, speed


@numba.njit(cache=True)
def foreseen(covariance: FloatArray, drift: float) -> tuple[float, float, float]:
    """Covariance one frame later: position, both, velocity."""
    p, both, v = covariance
    return p + 2 * both + v + drift / 4, both + v + drift / 2, v + drift
