"""Run one case by the code of the checkout in which this program is started; prints a line of JSON.

It must run in checkouts of other times, so it takes nothing of this one but the file beside it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from importlib import import_module as load
from pathlib import Path
from statistics import median


def peak_mib() -> float:
    """Largest resident size of this process so far."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) / 1024


def main() -> None:
    """``runner.py make|run CASE FOLDER THREADS CALLS quick|full``, started in a checkout."""
    what, case, folder, threads, calls, scale = sys.argv[1:7]
    name, *options = case.split(":")
    work = load("workloads")
    size = work.Size(scale == "quick", Path(folder))
    sys.path[0] = str(Path.cwd())
    if what == "make":
        work.MAKES.get(name, lambda *_: None)(size, *options)
        return
    if name in ("frame", "step"):
        load("torch").set_num_threads(int(threads))
    call = work.RUNS[name](size, *options)
    clock, busy, answer = [], [], 0.0
    for number in range(int(calls) + (int(calls) > 1)):  # of several the first one is to get warm
        before = time.perf_counter(), time.process_time()
        answer = call()
        if number or int(calls) == 1:
            clock.append(time.perf_counter() - before[0])
            busy.append(time.process_time() - before[1])
    print(json.dumps({"clock": median(clock), "busy": median(busy), "peak_mib": peak_mib(), "answer": answer}))


if __name__ == "__main__":
    main()
