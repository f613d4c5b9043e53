from __future__ import annotations

import sys
from dataclasses import dataclass

import av
import cv2
import hydra
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from config.resolvers import register_resolvers
from data.events.bbox import write_bbox_npy
from data.events.formats.dat import write_dat
from data.events.types import Events
from data.sequences.layout import SequenceWriter, StoredLabels
from modules.detection import Module
from scripts import visualize
from tests.helpers.commands import SMALL
from tests.helpers.tiny_dataset import write_tiny_sequence
from utils.boxes import BBOX_DTYPE
from utils.commands.cli import CONFIG_DIR
from utils.pictures.drawing import DARK
from utils.pictures.video import probe_video

NAME = "stacked_histogram_dt=50_nbins=2"
HEIGHT, WIDTH = 61, 81


@dataclass
class Format:
    downsample_by_factor_2: bool = False
    bins: int = 2
    count_cutoff: int | None = 10
    dt_ms: float = 50.0
    kind: str = "stacked_histogram"


class Detector:
    """A box in the middle of what it sees; remembers its frames."""

    classes = ("car", "pedestrian")

    def __init__(self, half=False):
        self.representation = Format(half)
        self.frames = []

    def step(self, frame):
        self.frames.append(frame)
        return np.array([[20, 20, 60, 50, 1.0, 0.9, 1], [0, 0, 5, 5, 0.5, 0.2, 0]])


@pytest.fixture
def recording(tmp_path):
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 400_001, 2000)) + 7_000
    t[0], t[-1] = 7_000, 407_000
    x, y, p = rng.integers(0, WIDTH, 2000), rng.integers(0, HEIGHT, 2000), rng.integers(0, 2, 2000)
    path = tmp_path / "drive_td.dat"
    write_dat(path, Events.from_arrays(t, x, y, p), HEIGHT, WIDTH)
    return path


def labels_at(t, frame=0):
    boxes = np.zeros(1, dtype=BBOX_DTYPE)
    boxes[0] = (t, 10, 12, 30, 20, 0, 1, 1)
    return StoredLabels(boxes, np.array([0]), np.array([frame]), np.array([max(t, 1)]))


@pytest.fixture
def sequence(tmp_path):
    root = tmp_path / "val" / "drive"
    with SequenceWriter(root, NAME, 4, HEIGHT, WIDTH) as writer:
        writer.append_frames(np.random.default_rng(1).integers(0, 2, (6, 4, HEIGHT, WIDTH), dtype=np.uint8))
        writer.write_frame_timestamps(np.arange(1, 7) * 50_000)
        writer.write_labels(labels_at(100_000, 1))
    return root


@pytest.fixture
def detector(monkeypatch, tmp_path):
    made = []

    def load(args, sensor_hw):
        made.append((Detector(half="half" in args.checkpoint.name), sensor_hw))
        return made[-1][0]

    monkeypatch.setattr(visualize, "load_detector", load)
    for name in ("full.ckpt", "half.ckpt"):
        (tmp_path / name).touch()
    return made


def run(*arguments):
    visualize.run(visualize.build_parser().parse_args([str(argument) for argument in arguments]))


def frame_of(path, index):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))[index].to_ndarray(format="rgb24").astype(int)


def near(image, colour, tolerance=70):
    """Pixels of about this colour; a video halves the resolution of colours."""
    return np.abs(image - np.array(colour)).sum(axis=-1) < tolerance


def test_a_recording_becomes_a_video_of_its_length_and_size(recording, tmp_path):
    run(recording, "-o", tmp_path / "out.mp4")
    info = probe_video(tmp_path / "out.mp4")
    assert (info.width, info.height, info.frames) == (648, 488, 8)  # a small camera is enlarged to about 640 pixels
    assert info.duration_s == pytest.approx(0.4, abs=2e-3)
    assert (info.codec, info.pixel_format) == ("h264", "yuv420p")


@pytest.mark.parametrize(
    ("options", "frames", "seconds", "size"),
    [
        (["--speed", "0.5"], 8, 0.8, (648, 488)),
        (["--dt-ms", "20"], 20, 0.4, (648, 488)),
        (["--fps", "10", "--speed", "2"], 2, 0.2, (648, 488)),
        (["--start-s", "0.1", "--duration-s", "0.2", "--scale", "2"], 4, 0.2, (162, 122)),
        (["--scale", "0.5", "--theme", "light"], 8, 0.4, (40, 30)),
    ],
)
def test_time_and_size_options(recording, tmp_path, options, frames, seconds, size):
    run(recording, "-o", tmp_path / "out.mp4", *options)
    info = probe_video(tmp_path / "out.mp4")
    assert (info.frames, (info.width, info.height)) == (frames, size)
    assert info.duration_s == pytest.approx(seconds, abs=2e-3)


def test_the_video_is_called_after_its_input(recording, sequence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "val")
    run(recording)
    assert (tmp_path / "val" / "drive.mp4").is_file()
    (tmp_path / "val" / "drive.mp4").unlink()
    monkeypatch.chdir(sequence)
    run(".")
    assert probe_video(sequence / "drive.mp4").frames == 6


def test_ground_truth_beside_a_recording_is_drawn(recording, tmp_path):
    write_bbox_npy(tmp_path / "drive_bbox.npy", labels_at(207_000).boxes)
    for name, options in (("with", []), ("without", ["--labels", "none"])):
        run(recording, "-o", tmp_path / f"{name}.mp4", "--scale", "10", "--plain", *options)
    amounts = [int(near(frame_of(tmp_path / "with.mp4", index), DARK.truth).sum()) for index in range(8)]
    assert amounts[:3] == [0, 0, 0]
    assert amounts[3] > 100
    assert not near(frame_of(tmp_path / "without.mp4", 3), DARK.truth).any()


def test_a_sequence_is_drawn_with_its_labels(sequence, tmp_path):
    run(sequence, "-o", tmp_path / "out.mp4", "--scale", "10", "--plain", "--classes", "car")
    info = probe_video(tmp_path / "out.mp4")
    assert (info.frames, info.width, info.height) == (6, 10 * WIDTH, 10 * HEIGHT)
    assert info.duration_s == pytest.approx(0.3, abs=2e-3)
    assert not near(frame_of(tmp_path / "out.mp4", 0), DARK.truth).any()
    truth = near(frame_of(tmp_path / "out.mp4", 1), DARK.truth)
    rows, columns = np.nonzero(truth)
    assert abs(columns.min() - 100) <= 4
    assert abs(columns.max() - 400) <= 4
    assert abs(rows.min() - 120) <= 4


def test_labels_of_another_file_for_a_sequence(sequence, tmp_path):
    write_bbox_npy(tmp_path / "other.npy", labels_at(250_000).boxes)
    run(sequence, "-o", tmp_path / "out.mp4", "--scale", "10", "--plain", "--labels", tmp_path / "other.npy")
    assert not near(frame_of(tmp_path / "out.mp4", 1), DARK.truth).any()
    assert near(frame_of(tmp_path / "out.mp4", 4), DARK.truth).any()


@pytest.mark.parametrize(
    ("kind", "checkpoint"), [("recording", "full.ckpt"), ("recording", "half.ckpt"), ("sequence", "full.ckpt")]
)
def test_a_checkpoint_runs_as_a_stream(request, tmp_path, detector, kind, checkpoint):
    source = request.getfixturevalue(kind)
    options = ["--checkpoint", tmp_path / checkpoint, "--labels", "none", "--scale", "10", "--plain"]
    run(source, "-o", tmp_path / "out.mp4", *options)
    (made, sensor_hw), frames = detector[0], 8 if kind == "recording" else 6
    assert sensor_hw == (HEIGHT, WIDTH)
    assert len(made.frames) == frames
    assert made.frames[0].shape == ((4, HEIGHT // 2, WIDTH // 2) if "half" in checkpoint else (4, HEIGHT, WIDTH))
    seen = near(frame_of(tmp_path / "out.mp4", 0), DARK.class_colour(1))
    rows, columns = np.nonzero(seen)
    assert abs(columns.min() - 200) <= 4
    assert abs(rows.max() - 500) <= 4
    assert not near(frame_of(tmp_path / "out.mp4", 0), DARK.class_colour(0)).any()  # below --conf


def test_a_half_resolution_checkpoint_needs_such_frames(sequence, tmp_path, detector, capsys):
    assert status(sequence, "-o", tmp_path / "out.mp4", "--checkpoint", tmp_path / "half.ckpt") == 2
    assert "event_representations_ds2_nearest.h5" in capsys.readouterr().err


def test_a_still_alone_and_with_a_gif(recording, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(recording, "--still", "sheet.png", "--still-frames", "4", "--still-columns", "2", "--scale", "2")
    assert not list(tmp_path.glob("*.mp4"))
    sheet = cv2.imread("sheet.png")
    assert sheet.shape == (2 * 122 + 3 * 2, 2 * 162 + 3 * 2, 3)
    run(recording, "--still", "small.png", "--still-width", "100", "-o", "drive.gif", "--fps", "10", "--scale", "1")
    assert cv2.imread("small.png").shape[1] <= 100
    info = probe_video("drive.gif")
    assert (info.frames, info.width, info.height) == (4, WIDTH, HEIGHT)
    assert info.duration_s == pytest.approx(0.4)


def status(*arguments):
    """Exit status of the command."""
    command = ["visualize.py", *[str(argument) for argument in arguments]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        try:
            visualize.main()
        except SystemExit as stop:
            return stop.code
    return 0


def test_the_command_ends_with_zero(recording, tmp_path):
    assert status(recording, "-o", tmp_path / "out.mp4", "--duration-s", "0.1") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/nothing.dat"], "nothing there"),
        (["{tmp}/empty.dat"], "no events"),
        (["{tmp}/text.dat"], "a recording"),
        (["{tmp}/val"], "drive"),
        (["{seq}", "--dt-ms", "20"], "--dt-ms"),
        (["{seq}", "--representation", "voxels"], NAME),
        (["{rec}", "--labels", "{tmp}/none.npy"], "no such file"),
        (["{rec}", "--labels", "{tmp}/empty_bbox.npy"], "no boxes"),
        (["{rec}", "--labels", "{tmp}/late_bbox.npy"], "subtract about 600.000 s"),
        (["{rec}", "--start-s", "3"], "--start-s"),
        (["{rec}", "-o", "{tmp}/out.webm"], ".mp4"),
        (["{rec}", "-o", "{tmp}/text.dat/out.mp4"], "out.mp4"),
        (["{rec}", "-o", "{tmp}/val"], ".mp4"),
        (["{rec}", "--still", "{tmp}/out.jpg"], ".png"),
        (["{rec}", "--checkpoint", "{tmp}/none.ckpt"], "none.ckpt"),
        (["{rec}", "--speed", "0"], "more than zero"),
        (["{rec}", "--conf", "-1"], "must not be negative"),
        ([], "INPUT"),
    ],
)
def test_mistakes_end_with_two_and_one_message(recording, sequence, tmp_path, capsys, arguments, message):
    write_dat(tmp_path / "empty.dat", Events.empty(), HEIGHT, WIDTH)
    write_bbox_npy(tmp_path / "empty_bbox.npy", np.zeros(0, dtype=BBOX_DTYPE))
    write_bbox_npy(tmp_path / "late_bbox.npy", labels_at(600_000_000).boxes)
    (tmp_path / "text.dat").write_text("hello")
    arguments = [text.format(tmp=tmp_path, rec=recording, seq=sequence) for text in arguments]
    if arguments and "-o" not in arguments and "--still" not in arguments:
        arguments += ["-o", str(tmp_path / "out.mp4")]
    before = sorted(tmp_path.rglob("*"))
    assert status(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


def test_labels_that_cannot_be_read_do_not_stop_the_video(recording, tmp_path, caplog):
    (tmp_path / "drive_bbox.npy").write_bytes(b"damaged")
    run(recording, "-o", tmp_path / "out.mp4", "--duration-s", "0.1")
    assert "labels are left out" in caplog.text
    assert (tmp_path / "out.mp4").is_file()


def test_nothing_appears_when_the_model_fails(recording, tmp_path, detector, monkeypatch):
    monkeypatch.setattr(Detector, "step", lambda self, frame: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(recording, "-o", tmp_path / "out.mp4", "--checkpoint", tmp_path / "full.ckpt")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A real checkpoint: the small detector of the tests, untrained, for a camera of 128 x 160."""
    register_resolvers()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = OmegaConf.to_container(hydra.compose("train", overrides=list(SMALL)), resolve=True)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    state = {"state_dict": Module(config).state_dict(), "hyper_parameters": {"config": config}}
    torch.save(state, path)
    return path


def test_a_real_checkpoint_takes_a_recording_of_another_camera(recording, checkpoint, tmp_path):
    options = ["--checkpoint", checkpoint, "--conf", "0", "--device", "cpu", "--duration-s", "0.15"]
    run(recording, "-o", tmp_path / "out.mp4", *options)
    info = probe_video(tmp_path / "out.mp4")
    assert (info.width, info.height, info.frames) == (648, 488, 3)


def test_a_real_checkpoint_takes_a_sequence(checkpoint, tmp_path):
    write_tiny_sequence(tmp_path / "drive", seed=1, frames=4)
    run(tmp_path / "drive", "-o", tmp_path / "out.mp4", "--checkpoint", checkpoint, "--conf", "0", "--device", "cpu")
    info = probe_video(tmp_path / "out.mp4")
    assert (info.width, info.height, info.frames) == (640, 512, 4)


def test_published_weights_take_the_overrides_of_their_dataset(recording, checkpoint, tmp_path, capsys):
    plain = {"state_dict": torch.load(checkpoint, weights_only=True)["state_dict"]}
    torch.save(plain, tmp_path / "rvt.ckpt")
    options = ["-o", tmp_path / "out.mp4", "--checkpoint", tmp_path / "rvt.ckpt", "--device", "cpu"]
    assert status(recording, *options) == 2
    assert "dataset=gen1" in capsys.readouterr().err
    run(recording, *options, "--duration-s", "0.1", "--overrides", *SMALL)
    assert probe_video(tmp_path / "out.mp4").frames == 2


def test_something_else_than_a_checkpoint(recording, tmp_path, capsys):
    (tmp_path / "a.ckpt").write_text("no checkpoint")
    assert status(recording, "-o", tmp_path / "out.mp4", "--checkpoint", tmp_path / "a.ckpt") == 2
    assert "a.ckpt" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()
