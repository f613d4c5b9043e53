#!/usr/bin/env bash
# Expected:  libx264 with a fixed number of threads gives the same bytes for the same frames
#            (it is deterministic unless told otherwise), so a video can be compared by its hash.
# Happens:   for small pictures, such as event-camera frames, its macroblock tree (mbtree, on by
#            default, in its vectorised form) lets bytes depend on what the memory held before: in one
#            long process two files of the same frames now and then differ in a few bytes.
# Versions:  PyAV 18.1.0 (wheel, with FFmpeg and libx264 inside), NumPy 2.4.6, Linux x86-64 with glibc.
# Shown by:  glibc's MALLOC_PERTURB_, which fills memory that programs get with a chosen byte.
# To do:     where bytes must be reproducible, give libx264 "x264-params": "mbtree=0".
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
py=$tmp/venv/bin/python
"$py" -m pip install --quiet --disable-pip-version-check "av==18.1.0" "numpy==2.4.6"

cat > "$tmp/encode.py" <<'PY'
import hashlib
import io
import sys
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

file = io.BytesIO()
container = av.open(file, "w", format="mp4")
stream = container.add_stream("libx264", rate=20)
stream.width = stream.height = 64
stream.pix_fmt = "yuv420p"
stream.codec_context.thread_count = 1
stream.options = {"crf": "20", "tune": "animation", "x264-params": sys.argv[1]}
rng = np.random.default_rng(3)
for number in range(5):
    image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    frame = VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    frame.pts, frame.time_base = number, Fraction(1, 20)
    container.mux(stream.encode(frame))
container.mux(stream.encode(None))
container.close()
print(hashlib.sha256(file.getvalue()).hexdigest()[:12])
PY

"$py" -c 'import av, numpy; print("PyAV", av.__version__, "NumPy", numpy.__version__)'
for params in mbtree=1 mbtree=0; do
    : > "$tmp/seen"
    for byte in 0 1 7; do
        hash=$(MALLOC_PERTURB_=$byte "$py" "$tmp/encode.py" "$params")
        echo "$params, memory filled by $byte: $hash"
        echo "$hash" >> "$tmp/seen"
    done
    sort -u "$tmp/seen" | wc -l > "$tmp/$params"
done
if [ "$(cat "$tmp/mbtree=1")" = 1 ] || [ "$(cat "$tmp/mbtree=0")" != 1 ]; then
    echo "NOT AS DESCRIBED: $(cat "$tmp/mbtree=1") kinds of bytes with mbtree, $(cat "$tmp/mbtree=0") without" >&2
    exit 1
fi
echo "AS DESCRIBED: with mbtree the bytes follow the memory's former content, without it they do not."
