#!/usr/bin/env bash
# Expected:  with one object and one detection upon it, precision is 1 in every implementation of COCO's metrics.
# Happens:   pycocotools and hotcoco divide by (hits + false alarms + eps) and give 1 - 2.2e-16 where there is one
#            hit; faster-coco-eval gives 1.0 exactly. From two hits on all three agree to the last bit. Figures of the
#            libraries compared by their bits, or by a checksum of a table, differ for small data and for rare classes.
# Versions:  pycocotools 2.0.11, faster-coco-eval 1.8.0, hotcoco 1.3.0, NumPy 2.4.6, Linux x86-64.
# To do:     compare such figures with a tolerance of 1e-15, or map the largest number below 1 to 1.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
py=$tmp/venv/bin/python
"$py" -m pip install --quiet --disable-pip-version-check \
    "pycocotools==2.0.11" "faster-coco-eval==1.8.0" "hotcoco==1.3.0" "numpy==2.4.6"

cat > "$tmp/try.py" <<'PY'
import contextlib
import io
import json
import sys

import hotcoco
import numpy as np
from faster_coco_eval import COCO as FasterCOCO
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

LIBRARIES = {
    "pycocotools": (COCO, COCOeval),
    "faster-coco-eval": (FasterCOCO, COCOeval_faster),
    "hotcoco": (hotcoco.COCO, hotcoco.COCOeval),
}


def highest(data, evaluate, hits):
    """The largest precision with so many objects, each with one detection right upon it."""
    boxes = [[10.0 + 60 * number, 10.0, 40.0, 40.0] for number in range(hits)]
    truth = {
        "info": {}, "licenses": [],
        "images": [{"id": 1, "width": 640, "height": 480, "file_name": "1"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"id": number + 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 1600.0, "iscrowd": 0}
            for number, box in enumerate(boxes)
        ],
    }
    found = [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9 - 0.1 * n} for n, box in enumerate(boxes)]
    with open(f"{sys.argv[1]}/truth.json", "w") as file:
        json.dump(truth, file)
    with open(f"{sys.argv[1]}/found.json", "w") as file:
        json.dump(found, file)
    with contextlib.redirect_stdout(io.StringIO()):
        ours = data(f"{sys.argv[1]}/truth.json")
        evaluation = evaluate(ours, ours.loadRes(f"{sys.argv[1]}/found.json"), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return float(np.max(np.asarray(evaluation.eval["precision"])[0, :, 0, 0, -1]))


for hits in (1, 2, 3):
    seen = {name: highest(*library, hits) for name, library in LIBRARIES.items()}
    print(hits, "hits:", ", ".join(f"{name} {value!r}" for name, value in seen.items()))
    expected = 1 - 2.0**-52 if hits == 1 else 1.0
    assert seen["pycocotools"] == seen["hotcoco"] == expected, seen
    assert seen["faster-coco-eval"] == 1.0, seen
PY
"$py" "$tmp/try.py" "$tmp" || { echo "NOT AS DESCRIBED" >&2; exit 1; }
echo "as described"
