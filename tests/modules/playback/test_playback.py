from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from data.events.bbox import write_bbox_npy
from data.events.recording import ArrayRecording
from data.events.types import Events
from data.sequences.layout import EV_DIR, SequencePaths, SequenceWriter, StoredLabels
from modules.playback.boxes import LabelTrack, find_labels, load_labels
from modules.playback.detections import Detections
from modules.playback.painting import Moment, Painter, Sheet
from modules.playback.sequence import SequenceSource, find_representation, sequence_paths
from modules.playback.sources import RecordingSource, regular_ticks
from modules.playback.video import Overlays, moments, plan_time
from utils.boxes import BBOX_DTYPE, IGNORE_LABEL
from utils.errors import UserError
from utils.pictures.boxes import BoxKind
from utils.pictures.drawing import DARK

NAME = "stacked_histogram_dt=50_nbins=2"


@dataclass
class Format:
    bins: int = 2
    count_cutoff: int | None = 10
    dt_ms: float = 50.0
    downsample_by_factor_2: bool = False
    kind: str = "stacked_histogram"


@dataclass
class FakeDetector:
    """Says how often it was called, as a box whose x1 is that number."""

    representation: Format = field(default_factory=Format)
    classes: tuple[str, ...] = ("car", "pedestrian")
    frames: list[np.ndarray] = field(default_factory=list)

    def step(self, frame):
        self.frames.append(frame)
        x = float(len(self.frames))
        return np.array([[x, 1, x + 4, 6, 0.9, 0.5, 1], [x, 2, x + 5, 8, 0.5, 0.5, 0]], dtype=np.float32)


def recording(number=500, span_us=400_000, height=8, width=12, start=1_000_000):
    rng = np.random.default_rng(1)
    t = np.sort(rng.integers(0, span_us + 1, number)) + start
    t[0], t[-1] = start, start + span_us
    x, y, p = rng.integers(0, width, number), rng.integers(0, height, number), rng.integers(0, 2, number)
    return ArrayRecording("made", Events.from_arrays(t, x, y, p), (height, width))


def boxes(rows):
    """Rows t, x, y, w, h, class_id."""
    out = np.zeros(len(rows), dtype=BBOX_DTYPE)
    for index, row in enumerate(rows):
        out[index] = (*row, 0.5, 0.5)
    return out


def write_sequence(root, frames, times, labels=None, downsampled=False, name=NAME):
    writer = SequenceWriter(root, name, *frames.shape[1:], dtype=frames.dtype, downsampled=downsampled)
    with writer:
        writer.append_frames(frames)
        writer.write_frame_timestamps(times)
        empty = StoredLabels(boxes([]), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
        writer.write_labels(labels or empty)
    return root


def stored_frames(number=4, channels=4, height=6, width=10):
    return np.random.default_rng(2).integers(0, 4, (number, channels, height, width), dtype=np.uint8)


TIMES = np.array([150_000, 200_000, 250_000, 300_000])


def test_windows_cover_the_whole_recording():
    source = RecordingSource(recording())
    ticks = source.ticks(source.start_us, source.stop_us, 50_000)
    assert len(ticks) == 8
    assert ticks[-1] == source.stop_us
    counted = sum(source.counts(end, 50_000).sum() for end in ticks.tolist())
    on_borders = np.isin(recording().events.t, ticks[:-1]).sum()
    assert counted - on_borders == 500


def test_a_rest_gets_a_frame_of_its_own():
    assert regular_ticks(0, 100_001, 50_000).tolist() == [50_000, 100_000, 150_000]
    assert regular_ticks(5, 5, 50_000).tolist() == [50_005]


@pytest.mark.parametrize("half", [False, True])
def test_frames_for_the_detector_are_those_of_preprocessing(half):
    source = RecordingSource(recording(), Format(downsample_by_factor_2=half))
    stack = source.stack(source.start_us + 50_000)
    assert stack.dtype == np.uint8
    assert stack.shape == ((4, 4, 6) if half else (4, 8, 12))
    if not half:
        expected = source.counts(source.start_us + 50_000, 50_000)
        np.testing.assert_array_equal(stack.reshape(2, 2, 8, 12).sum(axis=1), expected)


@pytest.mark.parametrize(
    ("fps", "speed", "frames"), [(None, 1, 8), (None, 0.5, 8), (None, 4, 8), (40, 1, 16), (40, 2, 8), (10, 1, 4)]
)
def test_videos_last_as_long_as_the_recording(fps, speed, frames):
    time = plan_time(RecordingSource(recording()), 50_000, fps, speed)
    assert len(time.ends) == frames
    assert len(time.ends) / time.fps == pytest.approx(0.4 / speed)


def test_a_part_of_the_recording():
    source = RecordingSource(recording())
    time = plan_time(source, 50_000, start_s=0.1, duration_s=0.2)
    assert time.ends.tolist() == [source.start_us + k for k in (150_000, 200_000, 250_000, 300_000)]
    assert len(plan_time(source, 50_000, start_s=0.3, duration_s=9).ends) == 2
    with pytest.raises(UserError, match=r"0\.400 s"):
        plan_time(source, 50_000, start_s=0.4)


def test_sequences_are_drawn_from_their_histograms(tmp_path):
    frames = stored_frames()
    write_sequence(tmp_path / "seq", frames, TIMES)
    source = SequenceSource(SequencePaths(tmp_path / "seq", NAME))
    assert (source.height, source.width, source.dt_us) == (6, 10, 50_000)
    assert (source.start_us, source.stop_us) == (100_000, 300_000)
    time = plan_time(source, source.dt_us)
    np.testing.assert_array_equal(time.ends, TIMES)
    assert time.fps == pytest.approx(20)
    for index, end in enumerate(TIMES.tolist()):
        np.testing.assert_array_equal(source.stack(end), frames[index])
        off, on = source.counts(end, 50_000)
        np.testing.assert_array_equal(off, frames[index, :2].sum(axis=0))
        np.testing.assert_array_equal(on, frames[index, 2:].sum(axis=0))


def test_a_part_of_a_sequence_and_another_rate(tmp_path):
    write_sequence(tmp_path / "seq", stored_frames(), TIMES)
    source = SequenceSource(SequencePaths(tmp_path / "seq", NAME))
    assert plan_time(source, source.dt_us, start_s=0.05, duration_s=0.1).ends.tolist() == [200_000, 250_000]
    assert len(plan_time(source, source.dt_us, fps=100).ends) == 20


def test_mixed_density_stacks_show_their_signed_sum(tmp_path):
    frames = np.zeros((1, 3, 4, 4), dtype=np.int8)
    frames[0, 2, 1, 1], frames[0, 2, 2, 2], frames[0, 0, 3, 3] = 5, -3, 9
    name = "mixeddensity_stack_dt=20_nbins=3"
    write_sequence(tmp_path / "seq", frames, [20_000], name=name)
    source = SequenceSource(SequencePaths(tmp_path / "seq", name))
    assert source.dt_us == 20_000
    off, on = source.counts(20_000, 20_000)
    assert (on[1, 1], off[1, 1], on[2, 2], off[2, 2], on[3, 3]) == (5, 0, 0, 3, 0)


def test_half_resolution_frames_play_at_the_size_of_the_camera(tmp_path):
    write_sequence(tmp_path / "seq", stored_frames(), TIMES, downsampled=True)
    paths = sequence_paths(tmp_path / "seq", NAME)
    assert paths.downsampled
    source = SequenceSource(paths)
    assert (source.height, source.width) == (12, 20)
    moment = Moment(source.counts(150_000, 50_000), [], 0.0)
    assert Painter(DARK, (12, 20)).paint(moment, 12, 20).shape == (12, 20, 3)
    with pytest.raises(UserError, match=r"event_representations_ds2_nearest\.h5 only"):
        sequence_paths(tmp_path / "seq", NAME, downsampled=False)


def test_times_follow_from_the_name_when_their_file_is_missing(tmp_path):
    write_sequence(tmp_path / "seq", stored_frames(), TIMES)
    paths = SequencePaths(tmp_path / "seq", NAME)
    paths.frame_timestamps.unlink()
    assert SequenceSource(paths).times.tolist() == [50_000, 100_000, 150_000, 200_000]
    np.save(paths.frame_timestamps, TIMES[:3])
    with pytest.raises(UserError, match="3 times"):
        SequenceSource(paths)


def test_the_representation_is_chosen_by_name_checkpoint_or_order(tmp_path):
    root = write_sequence(tmp_path / "seq", stored_frames(), TIMES)
    for name in ("mixeddensity_stack_dt=50_nbins=1", "stacked_histogram_dt=20_nbins=2"):
        (root / EV_DIR / name).mkdir()
    assert find_representation(root, None) == "stacked_histogram_dt=20_nbins=2"
    assert find_representation(root, None, Format()) == NAME
    assert find_representation(root, "mixeddensity_stack_dt=50_nbins=1") == "mixeddensity_stack_dt=50_nbins=1"
    with pytest.raises(UserError, match="--representation"):
        find_representation(root, "voxels")


def test_a_detector_for_other_channels_is_refused(tmp_path, caplog):
    write_sequence(tmp_path / "seq", stored_frames(), TIMES)
    source = SequenceSource(SequencePaths(tmp_path / "seq", NAME))
    source.check_fits(Format(), "a.ckpt")
    with pytest.raises(UserError, match="20 channels"):
        source.check_fits(Format(bins=10), "a.ckpt")
    source.check_fits(Format(dt_ms=20), "a.ckpt")
    assert "windows of 20 ms" in caplog.text


def track_of(pseudo=True):
    rows = boxes([(100, 1, 2, 3, 4, 0), (100, 5, 5, 2, 2, IGNORE_LABEL), (0, 3, 3, 3, 3, 1)])
    return LabelTrack(np.array([1_000_000, 1_100_000]), [rows[:2], rows[2:]], pseudo)


def test_labels_show_at_their_time_then_fade_until_newer_ones_come():
    track = track_of()

    def at(end):
        return track.at(end, 50_000, 200_000, ["car", "pedestrian"])

    assert at(999_999) == []
    now = at(1_000_000)
    assert [box.kind for box in now] == [BoxKind.TRUTH, BoxKind.IGNORED]
    assert now[0].xyxy == (1, 2, 4, 6)
    assert (now[0].text, now[1].text) == ("car", "ignored")
    assert {box.strength for box in [*now, *at(1_049_999)]} == {1.0}
    assert at(1_050_000)[0].strength < 1.0
    assert [box.kind for box in at(1_100_000)] == [BoxKind.PSEUDO]
    assert at(1_100_000)[0].text == "pedestrian 0.25"
    strengths = [at(end)[0].strength for end in range(1_150_000, 1_350_000, 50_000)]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[-1] > 0.3
    assert at(1_350_000) == []


def test_labels_without_holding_show_in_their_window_only():
    track = track_of()
    assert len(track.at(1_149_999, 50_000, 0, [])) == 1
    assert track.at(1_149_999, 50_000, 0, [])[0].text == "class 1 0.25"
    assert track.at(1_150_000, 50_000, 0, []) == []


def test_raw_box_files_hold_ground_truth_in_any_order(tmp_path):
    rows = boxes([(300, 1, 1, 2, 2, 0), (0, 2, 2, 2, 2, 1), (300, 3, 3, 2, 2, 1)])
    write_bbox_npy(tmp_path / "drive_bbox.npy", rows)
    track = load_labels(tmp_path / "drive_bbox.npy")
    assert track.times_us.tolist() == [0, 300]
    assert [len(frame) for frame in track.frames] == [1, 2]
    assert track.kinds() == [BoxKind.TRUTH]
    assert find_labels(tmp_path / "drive_td.dat") == tmp_path / "drive_bbox.npy"
    assert find_labels(tmp_path / "other_td.dat") is None


def test_labels_of_a_sequence_are_dated_by_its_frames(tmp_path):
    rows = boxes([(200_000, 1, 1, 2, 2, 0), (0, 2, 2, 2, 2, 1), (0, 3, 3, 2, 2, 1)])
    labels = StoredLabels(rows, np.array([0, 1]), np.array([1, 3]), np.array([200_000, 300_000]))
    root = write_sequence(tmp_path / "seq", stored_frames(), TIMES, labels)
    assert find_labels(root) == root
    track = load_labels(root)
    assert track.times_us.tolist() == [200_000, 300_000]
    assert [len(frame) for frame in track.frames] == [1, 2]
    assert track.kinds() == [BoxKind.TRUTH, BoxKind.PSEUDO]


def test_labels_that_are_not_there(tmp_path):
    write_bbox_npy(tmp_path / "drive_bbox.npy", boxes([]))
    write_sequence(tmp_path / "seq", stored_frames(), TIMES)
    for path in (tmp_path / "drive_bbox.npy", tmp_path / "seq"):
        with pytest.raises(UserError, match="no boxes"):
            load_labels(path)
    with pytest.raises(UserError, match="no such file"):
        load_labels(tmp_path / "nothing.npy")
    with pytest.raises(UserError, match="a folder of sequences"):
        load_labels(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="labels_v2"):
        load_labels(tmp_path / "empty")


@pytest.mark.parametrize(
    ("fps", "calls"), [(None, [1, 2, 3, 4, 5, 6, 7, 8]), (40, [0, 1, 1, 2, 2, 3]), (10, [2, 4, 6, 8])]
)
def test_the_model_sees_every_window_once_and_in_order(fps, calls):
    detector = FakeDetector()
    source = RecordingSource(recording(), detector.representation)
    time = plan_time(source, 50_000, fps)
    ticks = source.ticks(time.start_us, time.stop_us, 50_000)
    overlays = Overlays(detections=Detections(detector, source, ticks, 0.0))
    seen = [moment.boxes[-1].xyxy[0] if moment.boxes else 0 for moment in moments(source, time, overlays)]
    assert seen[: len(calls)] == calls
    assert len(detector.frames) == 8
    np.testing.assert_array_equal(detector.frames[2], source.stack(source.start_us + 150_000))


def test_detections_are_filtered_sorted_and_named():
    detector = FakeDetector(Format(downsample_by_factor_2=True))
    source = RecordingSource(recording(), detector.representation)
    ticks = source.ticks(source.start_us, source.stop_us, 50_000)
    both = Detections(detector, source, ticks, 0.2).at(int(ticks[0]))
    assert [box.text for box in both] == ["car 0.25", "pedestrian 0.45"]
    assert both[1].xyxy == (1, 1, 5, 6)  # as the detector says them: camera pixels, whatever its frames
    assert [box.text for box in Detections(detector, source, ticks, 0.3).at(int(ticks[0]))] == ["pedestrian 0.45"]


def test_no_detections_are_fine():
    class Blind(FakeDetector):
        def step(self, frame):
            return np.zeros((0, 7), dtype=np.float32)

    source = RecordingSource(recording(), Format())
    assert Detections(Blind(), source, np.array([source.stop_us]), 0.3).at(source.stop_us) == []


@pytest.mark.parametrize(
    ("frames", "columns", "max_width"), [(6, None, 200), (4, 2, 4000), (1, 5, 100), (50, None, 300)]
)
def test_sheets_fit_their_width_and_spread_over_the_video(frames, columns, max_width):
    painter = Painter(DARK, (90, 160), [])
    sheet = Sheet(painter, 12, frames, columns, max_width)
    taken = []
    for index in range(12):
        before = len(sheet._images)
        sheet.offer(index, Moment(np.zeros((2, 90, 160), dtype=int), [], 0.0))
        taken += [index] * (len(sheet._images) - before)
    assert len(taken) == min(frames, 12)
    assert taken[0] <= 12 // len(taken)
    assert 12 - taken[-1] <= 12 // len(taken) + 1
    assert sheet.image().shape[1] <= max_width
