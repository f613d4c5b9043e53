"""Video files: H.264 in MP4, MOV or MKV, and animated GIF, written frame by frame and never half-written."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from utils.atomic import atomic_path
from utils.errors import UserError

Image = npt.NDArray[np.uint8]

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".gif": "gif"}
"""Container by suffix of the output file."""

_BT709 = 1
_ENCODER_THREADS = 2  # fixed, since the bytes of the file depend on it


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds, found by decoding all of it.

    Attributes:
        width, height: pixels.
        frames: decoded frames.
        duration_s: time from the start of the first frame to the end of the last.
        codec, pixel_format: names in FFmpeg.
    """

    width: int
    height: int
    frames: int
    duration_s: float
    codec: str
    pixel_format: str


class VideoWriter:
    """Write RGB images to a video that appears at ``path`` when the ``with`` block ends well, and not otherwise.

    H.264 needs even sizes: an odd last row or column is repeated once. Memory does not grow with the length.

    Args:
        path: the suffix chooses the format, see ``FORMATS``.
        height, width: size of the images written.
        fps: frames per second, more than zero.
        quality: constant rate factor of H.264, 0 (lossless) to 51; not used for GIF.
        colours: colours that a GIF should show unchanged, at most 256; others become the nearest of them.

    Raises:
        UserError: unknown suffix, path not writable, disk full, no H.264 encoder.
    """

    def __init__(
        self,
        path: Path | str,
        height: int,
        width: int,
        fps: float | Fraction,
        quality: int = 20,
        colours: Sequence[tuple[int, int, int]] | None = None,
    ) -> None:
        self.path = Path(path)
        self.format = video_format(self.path)
        self.size = (height, width)
        self.rate = Fraction(fps).limit_denominator(10_000)
        if self.rate <= 0:
            raise ValueError(f"fps must be positive, got {fps}")
        self.frames = 0
        self._quality = quality
        self._quantiser = _Quantiser(colours) if self.format == "gif" else None
        self._stack = ExitStack()

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            stack.enter_context(_explained(self.path))
            temporary = stack.enter_context(atomic_path(self.path))
            options = {"movflags": "+faststart"} if self.format in ("mp4", "mov") else {}
            self._container = av.open(str(temporary), "w", format=self.format, container_options=options)
            stack.callback(self._container.close)
            self._stream = self._add_stream()
            self._stack = stack.pop_all()
        return self

    def _add_stream(self) -> VideoStream:
        codec = "gif" if self._quantiser else "libx264"
        if codec not in av.codecs_available:
            raise UserError(
                expected=f"an FFmpeg with {codec}",
                got="a build of PyAV without it",
                where="package av",
                fix="install the wheel from the registry: pip install --force-reinstall --only-binary av av",
            )
        stream = self._container.add_stream(codec, rate=self.rate)
        assert isinstance(stream, VideoStream)
        height, width = self.size
        context = stream.codec_context
        context.time_base = 1 / self.rate
        if self._quantiser:
            stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
            return stream
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context.color_range = ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.thread_count = _ENCODER_THREADS
        # x264's macroblock tree reads memory that nobody wrote: bytes would follow what lay there before.
        same_bytes = {"x264-params": "mbtree=0"}
        stream.options = {"crf": str(self._quality), "preset": "medium", "tune": "animation", **same_bytes}
        return stream

    def write(self, image: Image) -> None:
        """Append one image, uint8 [H, W, 3] in RGB."""
        if image.shape != (*self.size, 3) or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(*self.size, 3)}, got {image.dtype} {image.shape}")
        if self._quantiser:
            indexed: Any = (self._quantiser(image), self._quantiser.table)
            frame = VideoFrame.from_ndarray(indexed, format="pal8")
        else:
            odd_rows, odd_columns = image.shape[0] % 2, image.shape[1] % 2
            if odd_rows or odd_columns:
                image = np.pad(image, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
        frame.pts, frame.time_base = self.frames, 1 / self.rate
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if not self.frames:
                raise ValueError(f"{self.path}: no frame was written")
            self._container.mux(self._stream.encode(None))


class _Quantiser:
    """Nearest colours of a fixed palette, by a table over RGB with five bits a channel."""

    def __init__(self, colours: Sequence[tuple[int, int, int]] | None) -> None:
        if colours is None:
            steps = range(0, 256, 51)
            colours = [(red, green, blue) for red in steps for green in steps for blue in steps]
        palette = np.array(list(dict.fromkeys(colours))[:256], dtype=np.int32)
        axis = np.arange(32, dtype=np.int32) * 8 + 4
        self._nearest = np.empty((32, 32, 32), dtype=np.uint8)
        for red in range(32):
            green, blue = np.meshgrid(axis, axis, indexing="ij")
            cells = np.stack([np.full_like(green, axis[red]), green, blue], axis=-1)
            self._nearest[red] = ((cells[:, :, None] - palette) ** 2).sum(axis=-1).argmin(axis=-1)
        for index, colour in enumerate(palette[::-1]):
            self._nearest[tuple(colour >> 3)] = len(palette) - 1 - index
        self.table = np.full((256, 4), 255, dtype=np.uint8)
        self.table[: len(palette), 1:] = palette

    def __call__(self, image: Image) -> Image:
        """Palette indices uint8 [H, W] of an image [H, W, 3]."""
        return self._nearest[image[..., 0] >> 3, image[..., 1] >> 3, image[..., 2] >> 3]


def video_format(path: Path) -> str:
    """Container that the suffix of ``path`` asks for.

    Raises:
        UserError: a suffix that is not in ``FORMATS``.
    """
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError as error:
        raise UserError(
            expected=f"a file that ends in {', '.join(FORMATS)}",
            got=repr(path.name),
            where=str(path),
            fix="choose one of these suffixes, mp4 for most players",
        ) from error


def check_writable(path: Path) -> None:
    """Raise UserError if a file cannot be made at ``path``; leaves nothing behind but missing folders."""
    with _explained(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.tmp-probe")
        probe.touch()
        probe.unlink()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of the file system into a UserError about ``path``."""
    try:
        yield
    except OSError as error:
        raise UserError(
            expected="an output file that can be written",
            got=error.strerror or str(error),
            where=str(path),
            fix="choose another output path, or free space and rights there",
        ) from error


def save_png(path: Path | str, image: Image) -> None:
    """Write an RGB image as PNG; the file appears whole.

    Raises:
        UserError: the path cannot be written.
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    path = Path(path)
    with _explained(path), atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())


def probe_video(path: Path | str) -> VideoInfo:
    """Decode a video from start to end and say what it holds.

    Raises:
        UserError: the file is missing or not a video.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames, last = 0, 0.0
            for frame in container.decode(stream):
                frames += 1
                length: Any = frame.duration or 1 / (stream.average_rate or 1) / (frame.time_base or 1)
                last = float(((frame.pts or 0) + length) * (frame.time_base or 0))
            context = stream.codec_context
            return VideoInfo(context.width, context.height, frames, last, context.name, context.pix_fmt or "")
    except (av.error.FFmpegError, IndexError) as error:
        raise UserError(
            expected="a video file", got=str(error), where=str(path), fix="check the path, or make the video again"
        ) from error
