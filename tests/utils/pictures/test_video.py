from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from tests.helpers.commands import REPOSITORY
from utils.errors import UserError
from utils.pictures.drawing import DARK
from utils.pictures.overlay import theme_palette
from utils.pictures.video import VideoWriter, check_writable, probe_video, save_png


def images(count, height, width):
    rng = np.random.default_rng(3)
    for _ in range(count):
        yield rng.integers(0, 255, (height, width, 3), dtype=np.uint8)


def write(path, count, height, width, fps, **options):
    with VideoWriter(path, height, width, fps, **options) as writer:
        for image in images(count, height, width):
            writer.write(image)
    return probe_video(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".MP4"])
def test_h264_has_the_right_length_and_even_sizes(tmp_path, suffix):
    info = write(tmp_path / f"video{suffix}", 13, 35, 47, 20)
    assert (info.width, info.height) == (48, 36)
    assert info.frames == 13
    assert info.duration_s == pytest.approx(13 / 20, abs=2e-3)
    assert (info.codec, info.pixel_format) == ("h264", "yuv420p")
    assert [entry.name for entry in tmp_path.iterdir()] == [f"video{suffix}"]


@pytest.mark.parametrize("fps", [0.5, 19.99, 60, Fraction(30000, 1001)])
def test_any_rate(tmp_path, fps):
    info = write(tmp_path / "video.mp4", 4, 32, 32, fps)
    assert info.frames == 4
    assert info.duration_s == pytest.approx(4 / float(fps), rel=1e-3)


def test_one_frame_is_a_video(tmp_path):
    assert write(tmp_path / "video.mp4", 1, 32, 32, 20).frames == 1


def test_same_images_give_the_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write(tmp_path / name, 5, 64, 64, 20)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_bytes_do_not_follow_what_the_memory_held_before(tmp_path):
    program = "import sys, pathlib, tests.utils.pictures.test_video as t; "
    program += "t.write(pathlib.Path(sys.argv[1]), 5, 64, 64, 20)"
    for fill in ("0", "1", "7"):  # glibc gives new memory filled with this byte
        command = [sys.executable, "-c", program, str(tmp_path / f"{fill}.mp4")]
        subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "MALLOC_PERTURB_": fill}, check=True)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_colours_come_back_and_the_file_says_how(tmp_path):
    image = np.zeros((64, 96, 3), np.uint8)
    blocks = [DARK.background, DARK.on, DARK.off, DARK.truth, DARK.classes[0], DARK.classes[2]]
    for index, colour in enumerate(blocks):
        image[:, 16 * index : 16 * index + 16] = colour
    with VideoWriter(tmp_path / "video.mp4", 64, 96, 20, quality=10) as writer:
        for _ in range(3):
            writer.write(image)
    with av.open(str(tmp_path / "video.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (1, 1)
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    for index, colour in enumerate(blocks):
        np.testing.assert_allclose(frame[32, 16 * index + 8], colour, atol=6)


def test_gif_keeps_the_colours_of_its_palette(tmp_path):
    palette = theme_palette(DARK)
    image = np.zeros((20, 25, 3), np.uint8)
    image[:] = DARK.background
    colours = [DARK.on, DARK.off, DARK.truth, *DARK.classes]
    for index, colour in enumerate(colours):
        image[index, 3:9] = colour
    with VideoWriter(tmp_path / "video.gif", 20, 25, 10, colours=palette) as writer:
        writer.write(image)
        writer.write(image[:, ::-1])
    info = probe_video(tmp_path / "video.gif")
    assert (info.width, info.height, info.frames) == (25, 20, 2)
    assert info.duration_s == pytest.approx(0.2)
    with av.open(str(tmp_path / "video.gif")) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    np.testing.assert_array_equal(first, image)


def test_gif_without_a_palette_is_near(tmp_path):
    with VideoWriter(tmp_path / "video.gif", 8, 8, 10) as writer:
        writer.write(np.full((8, 8, 3), (250, 5, 100), np.uint8))
    with av.open(str(tmp_path / "video.gif")) as container:
        np.testing.assert_allclose(next(container.decode(video=0)).to_ndarray(format="rgb24")[0, 0], (255, 0, 102))


def test_nothing_appears_when_the_work_fails(tmp_path):
    target = tmp_path / "video.mp4"
    target.write_bytes(b"an older video")
    with pytest.raises(KeyboardInterrupt), VideoWriter(target, 32, 32, 20) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        raise KeyboardInterrupt
    assert target.read_bytes() == b"an older video"
    assert [entry.name for entry in tmp_path.iterdir()] == ["video.mp4"]


def test_no_frames_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="no frame"), VideoWriter(tmp_path / "video.mp4", 32, 32, 20):
        pass
    assert not list(tmp_path.iterdir())


def test_wrong_images_are_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="expected uint8"), VideoWriter(tmp_path / "a.mp4", 32, 32, 20) as writer:
        writer.write(np.zeros((30, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="fps"):
        VideoWriter(tmp_path / "a.mp4", 32, 32, 0)


def test_unknown_suffix(tmp_path):
    with pytest.raises(UserError, match=r"\.mp4"):
        VideoWriter(tmp_path / "video.webm", 32, 32, 20)


@pytest.mark.parametrize("kind", ["folder", "below a file"])
def test_paths_that_cannot_be_written(tmp_path, kind):
    (tmp_path / "file").write_text("")
    path = tmp_path / "x.mp4" if kind == "folder" else tmp_path / "file" / "x.mp4"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(UserError, match=r"x\.mp4"):
        check_writable(path)
    with pytest.raises(UserError, match=r"x\.mp4"):
        write(path, 1, 32, 32, 20)
    with pytest.raises(UserError, match=r"x\.mp4"):
        save_png(path, np.zeros((4, 4, 3), np.uint8))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == (["file", "x.mp4"] if kind == "folder" else ["file"])


def test_checking_leaves_nothing(tmp_path):
    check_writable(tmp_path / "new" / "video.mp4")
    assert not list((tmp_path / "new").iterdir())


def test_png_round_trip(tmp_path):
    image = next(images(1, 9, 7))
    save_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)


@pytest.mark.parametrize("content", [None, b"no video"])
def test_probing_something_else(tmp_path, content):
    if content:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UserError, match="a video file"):
        probe_video(tmp_path / "a.mp4")
