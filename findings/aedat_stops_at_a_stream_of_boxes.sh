#!/usr/bin/env bash
# Expected:  a reader of AEDAT4 that knows events, frames, IMU and triggers reads the events of a file that
#            holds a further kind of stream, or passes that stream over.
# Happens:   the stream's entry in the file's head is enough: with bounding boxes beside the events (as
#            dv-processing writes labels), even without a single box, opening the file ends in an error.
# Versions:  aedat 2.3.0, dv-processing 2.0.4, NumPy 2.4.6, Linux x86-64.
# To do:     give such a reader a copy of the file whose head names the event stream alone.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
py=$tmp/venv/bin/python
"$py" -m pip install --quiet --disable-pip-version-check "aedat==2.3.0" "dv-processing==2.0.4" "numpy==2.4.6"

cat > "$tmp/try.py" <<'PY'
import sys

import aedat
import dv_processing as dv


def write(path, boxes):
    config = dv.io.MonoCameraWriter.Config("camera")
    config.addEventStream((64, 48))
    if boxes:
        config.addBoundingBoxStream()
    writer = dv.io.MonoCameraWriter(path, config)
    events = dv.EventStore()
    for number in range(100):
        events.push_back(1_000_000 + 10 * number, number % 64, number % 48, number % 2 == 0)
    writer.writeEvents(events)
    del writer


def read(path):
    try:
        packets = list(aedat.Decoder(path))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"{sum(len(packet['events']) for packet in packets if 'events' in packet)} events"


folder = sys.argv[1]
seen = []
for boxes in (False, True):
    path = f"{folder}/boxes_{boxes}.aedat4"
    write(path, boxes)
    seen.append(read(path))
    print("with a stream of boxes:" if boxes else "events alone:", seen[-1].replace(folder, "..."))
assert seen[0] == "100 events", seen
assert "events" not in seen[1] and "unsupported stream type" in seen[1], seen
PY
"$py" -c 'from importlib.metadata import version as v; print("aedat", v("aedat"), "dv-processing", v("dv-processing"))'
"$py" "$tmp/try.py" "$tmp" || { echo "NOT AS DESCRIBED" >&2; exit 1; }
echo "as described"
