"""What the runner runs, by the code of any checkout: commands, and modules by each of the names that they have had."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable
from importlib import import_module as load
from pathlib import Path
from typing import Any

from basics import Call, Size, data_loading, either
from programs import first_step, labelling, make_labelling, make_training, start

CAMERAS = {"240x304": (240, 304, 1, False), "720x1280": (720, 1280, 10, True)}
"""Height, width, events in a microsecond, and whether frames are of half the size."""


def loading(size: Size, sampling: str, kind: str) -> Call:
    """Batches of a running loader."""
    part = data_loading()
    augmentation = part.PAPER if kind == "augmented" else type(part.PAPER)()
    loader = part.DataModule(part._config(size.folder, sampling, 0, augmentation)).train_dataloader()
    endless = itertools.chain.from_iterable(loader for _ in itertools.cycle([None]))
    return lambda: float(sum(batch["is_padded"].numel() for batch in itertools.islice(endless, size.of(5, 1))))


def make_loading(size: Size, sampling: str, kind: str) -> None:
    """Its dataset."""
    data_loading().write_dataset(size.folder, size.of(400, 80))


def detector(size: Size, name: str) -> Any:
    """A detector and its frames."""
    torch, subjects = load("torch"), load("scripts.benchmark.subjects")
    return subjects.Subject(size.model(name), torch.device("cpu"))


def frame(size: Size, name: str, engine: str = "eager") -> Call:
    """Single frames, states carried; the answer is the sum of the last predictions.

    A checkout that knows no engines computes them eagerly.
    """
    torch, streaming = load("torch"), load("models.detection.streaming")
    subject = detector(size, name)
    network, frames = streaming.StreamingStep(subject.detector, subject.frame_hw), subject.frames(4, 1, padded=False)
    step: Any = network
    if engine != "eager":
        frames = frames.to(torch.uint8)
        with contextlib.suppress(ModuleNotFoundError):
            _, step = load("modules.live.engines").choose_engine(engine, network, torch.uint8)

    def call() -> float:
        found: Any = None
        states = network.initial_states(1)
        with torch.no_grad():
            for one in frames:
                found, *states = step(one, *states)
        return float(found.double().sum())

    return call


def step(size: Size, name: str, precision: str = "32") -> Call:
    """A training step: forward, loss, backward, optimiser."""
    work = load("scripts.benchmark.throughput").Workload(detector(size, name), 5, 2, precision)

    def call() -> float:
        work.train(work.stages)
        return 0.0

    return call


def evaluation(size: Size, frames: str, kind: str) -> Call:
    """Labels and detections of many frames to figures; the answer is AP."""
    np, boxes = load("numpy"), load("utils.boxes")
    prophesee = load("utils.evaluation.prophesee")
    rng = np.random.default_rng(0)

    def some(count: int, number: int) -> Any:
        made = np.zeros(count, boxes.BBOX_DTYPE)
        made["t"], made["class_id"] = 1_000_000 + 250_000 * number, rng.integers(0, 2, count)
        made["x"], made["y"] = rng.uniform(0, 220, count), rng.uniform(0, 160, count)
        made["w"], made["h"] = rng.uniform(20, 110, count), rng.uniform(25, 110, count)
        return made

    labels, detections = [], []
    for number in range(size.of(int(frames), 40)):
        labels.append(some(int(rng.poisson(3)), number))
        found = np.concatenate([labels[-1][rng.random(len(labels[-1])) < 0.8], some(int(rng.poisson(10)), number)])
        for side in "xywh":
            found[side] += rng.normal(0, 3, len(found)).astype(np.float32)
        found["class_confidence"], found["objectness"] = rng.random((2, len(found)))
        detections.append(found)

    def call() -> float:
        evaluator = prophesee.PropheseeEvaluator(("car", "pedestrian"), 240, 304, 30, 10)
        evaluator.add(labels, detections)
        return float(evaluator.compute(extra=kind == "all")["AP"])

    return call


def preprocessing(size: Size, camera: str) -> Call:
    """A recording to a sequence; the answer is its number of frames."""
    job, find = (
        load("data.preprocessing.job"),
        load("data.preprocessing.recordings"),
    )
    config = load("data.preprocessing.config")
    settings = config.PreprocessConfig(
        CAMERAS[camera][:2],
        representation=config.RepresentationConfig(kind="stacked_histogram", count_cutoff=10),
        downsample_by_factor_2=CAMERAS[camera][3],
        all_windows=True,
    )

    def call() -> float:
        with tempfile.TemporaryDirectory() as out:
            (found,) = find.find_recordings(size.folder, Path(out), settings, ("train",))
            return float(job.run_job(found).frames)

    return call


def make_preprocessing(size: Size, camera: str) -> None:
    """Its recording: noise, spread evenly over sensor and time."""
    np, bbox = load("numpy"), load("data.events.bbox")
    events, boxes = load("data.events.types"), load("utils.boxes")
    height, width, per_us, _ = CAMERAS[camera]
    count, rng = size.of(10_000_000, 200_000), np.random.default_rng(0)
    t = np.sort(rng.integers(0, max(count // per_us, 100_000), count))
    x, y, p = rng.integers(0, width, count), rng.integers(0, height, count), rng.integers(0, 2, count)
    dat = either("data.events.formats.dat", "data.events.dat")
    dat.write_dat(size.folder / "train" / "noise_td.dat", events.Events.from_arrays(t, x, y, p), height, width)
    bbox.write_bbox_npy(size.folder / "train" / "noise_bbox.npy", np.zeros(0, dtype=boxes.BBOX_DTYPE))


RUNS: dict[str, Callable[..., Call]] = {
    "loading": loading, "frame": frame, "step": step, "labelling": labelling, "evaluation": evaluation,
    "preprocessing": preprocessing, "start": start, "first": first_step,
}  # fmt: skip
MAKES: dict[str, Callable[..., None]] = {
    "loading": make_loading, "preprocessing": make_preprocessing, "labelling": make_labelling,
    "first": make_training,
}  # fmt: skip
"""What is made once for a case, where something is."""
