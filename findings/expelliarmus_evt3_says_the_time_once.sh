#!/usr/bin/env bash
# Expected:  an EVT3 file states the upper 12 bits of the time (a TIME_HIGH word) each time they change, every
#            4.096 ms, and repeats them; a writer and a reader of one package give the same events back.
# Happens:   the writer states them once, before the first event: in a second of events, which crosses 244
#            borders, no other reader can tell the times. What the package itself reads back differs, too.
# Versions:  expelliarmus 1.1.12, NumPy 1.26.4, Linux x86-64.
# To do:     write EVT2 or .dat with it, or EVT3 with another program; check times after any conversion.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
py=$tmp/venv/bin/python
"$py" -m pip install --quiet --disable-pip-version-check "expelliarmus==1.1.12" "numpy==1.26.4"

cat > "$tmp/try.py" <<'PY'
import sys

import numpy as np
from expelliarmus import Wizard

rng = np.random.default_rng(0)
count = 2000
events = np.zeros(count, dtype=[("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
events["t"] = np.sort(rng.integers(0, 1_000_000, count))
events["x"], events["y"], events["p"] = rng.integers(0, 64, count), rng.integers(0, 48, count), rng.integers(0, 2, count)

same, highs = {}, 0
for encoding, suffix in (("evt2", "raw"), ("evt3", "raw"), ("dat", "dat")):
    path = f"{sys.argv[1]}/{encoding}.{suffix}"
    Wizard(encoding=encoding).save(path, events)
    back = Wizard(encoding=encoding, fpath=path).read()
    same[encoding] = len(back) == count and bool((back["t"] == events["t"]).all())
    if encoding == "evt3":
        data = open(path, "rb").read()
        while data.startswith(b"%"):
            data = data.partition(b"\n")[2]
        words = np.frombuffer(data[: len(data) // 2 * 2], dtype="<u2")
        highs = int((words >> 12 == 8).sum())
borders = len(np.unique(events["t"] >> 12))
print(f"values of the upper bits: {borders}; words in the file that state them: {highs}")
print("times come back as they were:", same)
assert highs == 1 and borders > 200, (highs, borders)
assert same == {"evt2": True, "evt3": False, "dat": True}, same
PY
"$py" -c 'from importlib.metadata import version as v; print("expelliarmus", v("expelliarmus"), "NumPy", v("numpy"))'
"$py" "$tmp/try.py" "$tmp" || { echo "NOT AS DESCRIBED" >&2; exit 1; }
echo "as described"
