"""Speed of preprocessing and of its histogram, and its memory against the length of a recording.

Recordings are noise spread evenly over the sensor: the worst case for caches and for compression.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
import numpy.typing as npt

from data.events.bbox import write_bbox_npy
from data.events.formats.dat import write_dat
from data.events.types import Events
from data.preprocessing.config import PreprocessConfig, RepresentationConfig
from data.preprocessing.job import Failure, run_job
from data.preprocessing.recordings import find_recordings
from data.representations.names import KINDS
from data.representations.stacked_histogram import StackedHistogram
from scripts.benchmark.measure import CPU, Row, alternate
from utils.boxes import BBOX_DTYPE

WINDOW_US = 50_000
LENGTHS = (1, 2, 4)
"""Recordings for the memory, in multiples of the shortest."""


@dataclass(frozen=True)
class Camera:
    """A sensor and the events that it sends.

    Attributes:
        name: for the table.
        hw: height and width.
        half: frames are stored at half resolution.
        events_per_us: million events per second.
    """

    name: str
    hw: tuple[int, int]
    half: bool
    events_per_us: float

    @property
    def frame(self) -> str:
        """Height and width of a stored frame."""
        return "x".join(str(size // (2 if self.half else 1)) for size in self.hw)

    def config(self, kind: str) -> PreprocessConfig:
        """One window after the other, as of an unlabelled recording."""
        representation = RepresentationConfig(kind=kind, count_cutoff=KINDS[kind].usual_cutoff)
        return PreprocessConfig(
            self.hw, representation=representation, downsample_by_factor_2=self.half, all_windows=True
        )


CAMERAS = (Camera("Gen1", (240, 304), False, 1.0), Camera("1Mpx", (720, 1280), True, 10.0))


def noise(camera: Camera, events: int) -> Events:
    """Events at random places, evenly in time."""
    rng = np.random.default_rng(0)
    height, width = camera.hw
    t = np.sort(rng.integers(0, max(round(events / camera.events_per_us), 2 * WINDOW_US), events))
    x, y = rng.integers(0, width, events), rng.integers(0, height, events)
    return Events.from_arrays(t, x, y, rng.integers(0, 2, events))


def rows(events: int, repeats: int) -> list[Row]:
    """Measure all.

    Args:
        events: events of a recording.
        repeats: runs of each variant; medians are reported.
    """
    table: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for camera in CAMERAS:
            raw = write_raw(folder / camera.name, camera, events)
            table += [_preprocessing(raw, camera, kind, events, repeats) for kind in KINDS]
        for camera in CAMERAS:
            table += _histogram(camera, repeats)
        table += [memory_row(folder, events // LENGTHS[-1] * length) for length in LENGTHS]
    return table


def write_raw(folder: Path, camera: Camera, events: int) -> Path:
    """A raw folder with one recording and a box file without boxes."""
    write_dat(folder / "train" / "noise_td.dat", noise(camera, events), *camera.hw)
    write_bbox_npy(folder / "train" / "noise_bbox.npy", np.zeros(0, dtype=BBOX_DTYPE))
    return folder


def _preprocess(raw: Path, out: Path, cfg: PreprocessConfig) -> None:
    (job,) = find_recordings(raw, out, cfg, ("train",))
    outcome = run_job(job)
    if isinstance(outcome, Failure):
        raise RuntimeError(outcome.reason)


def _preprocessing(raw: Path, camera: Camera, kind: str, events: int, repeats: int) -> Row:
    outs = (raw.parent / f"{camera.name}_{kind}_{index}" for index in count())
    variant = {"": lambda: _preprocess(raw, next(outs), camera.config(kind))}
    seconds = alternate(variant, 1, repeats, CPU)[""].cost
    note = f".dat to checksummed sequence; {camera.events_per_us:g} million events/s, frames {camera.frame}"
    return _speed(f"preprocessing, {kind}, {camera.name}", events / seconds, note)


def _speed(name: str, events_per_s: float, note: str) -> Row:
    return {"name": name, "value": events_per_s / 1e6, "unit": "million events/s per core", "note": note}


def add_at(
    events: Events, height: int, width: int, half: bool, like: StackedHistogram, flat: bool
) -> npt.NDArray[np.uint8]:
    """The stacked histogram by ``np.add.at``, with channel, row and column or with one flat index, which is faster."""
    span = np.float32(max(int(events.t[-1] - events.t[0]), 1))
    time_bin = ((events.t - events.t[0]).astype(np.float32) / span * np.float32(like.bins)).astype(np.int64)
    channel = np.minimum(time_bin, like.bins - 1) + like.bins * events.p.astype(np.int64)
    x, y = events.x, events.y
    if half:
        kept = (x & y & 1).astype(bool)
        channel, x, y, height, width = channel[kept], x[kept] >> 1, y[kept] >> 1, height // 2, width // 2
    counts = np.zeros((like.channels, height, width), dtype=np.int64)
    if flat:
        np.add.at(counts.reshape(-1), (channel * height + y) * width + x, 1)
    else:
        np.add.at(counts, (channel, y, x), 1)
    return np.minimum(counts, like.count_cutoff).astype(np.uint8)


def _histogram(camera: Camera, repeats: int) -> list[Row]:
    (height, width), number = camera.hw, round(WINDOW_US * camera.events_per_us)
    events, ours = noise(Camera("", camera.hw, camera.half, number / WINDOW_US), number), StackedHistogram()
    variants: Mapping[str, Callable[[], npt.NDArray[Any]]] = {
        "ours": lambda: ours.build(events, height, width, camera.half),
        "np.add.at": lambda: add_at(events, height, width, camera.half, ours, flat=False),
        "np.add.at with flat indices": lambda: add_at(events, height, width, camera.half, ours, flat=True),
    }
    if not all(np.array_equal(variants["ours"](), make()) for make in variants.values()):
        raise RuntimeError("the histograms differ")
    times = alternate(variants, 0, max(3 * repeats, 3), CPU)
    costs = {name: max(entry.cost, 1e-9) for name, entry in times.items()}
    note = f"one window of {number} events, {ours.channels} channels of {camera.frame}; equal results"
    table = [_speed(f"histogram, {name}, {camera.name}", number / cost, note) for name, cost in costs.items()]
    base = costs.pop("ours")
    for name, cost in costs.items():
        title = f"histogram, ours against {name}, {camera.name}"
        table.append({"name": title, "value": cost / base, "unit": "times", "note": note})
    return table


def memory_row(folder: Path, events: int) -> Row:
    """Peak memory of a process that preprocesses a recording and does nothing else."""
    camera = CAMERAS[0]
    raw = write_raw(folder / f"length_{events}", camera, events)
    command = [sys.executable, __file__, str(raw), str(folder / f"memory_{events}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, peak = (float(word) for word in done.stdout.split())
    return {
        "name": f"peak memory, {events / 1e6:g} million events, {camera.name}",
        "value": peak,
        "unit": "MiB",
        "note": f"resident, a fresh process; {before:.0f} MiB of them before it opens the recording",
    }


def peak_memory_mib() -> float:
    """Largest resident size of this process so far."""
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    # The first is of this program alone; the second may remember its parent's.
    return int(found.group(1)) / 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Preprocess the given raw folder into the second one and print MiB before and at the peak."""
    raw, out = (Path(argument) for argument in sys.argv[1:3])
    before = peak_memory_mib()
    _preprocess(raw, out, CAMERAS[0].config("stacked_histogram"))
    print(before, peak_memory_mib())


if __name__ == "__main__":
    main()
