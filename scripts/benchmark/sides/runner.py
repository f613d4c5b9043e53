"""Run one case by the code of the checkout in which this program is started; prints a line of JSON.

It must run in checkouts of other times, so it takes nothing of this one but the files beside it.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module as load
from pathlib import Path
from statistics import median


def main() -> None:
    """``runner.py make|run CASE FOLDER THREADS CALLS quick|full``, started in a checkout."""
    what, case, folder, threads, calls, scale = sys.argv[1:7]
    name, *options = case.split(":")
    work, basics = load("workloads"), load("basics")
    size = basics.Size(scale == "quick", Path(folder))
    sys.path[0] = str(Path.cwd())
    if what == "make":
        work.MAKES.get(name, lambda *_: None)(size, *options)
        return
    if name in ("frame", "step"):
        load("torch").set_num_threads(int(threads))
    if name not in ("start", "first", "labelling"):  # commands see to it themselves
        basics.keep_memory()
    call = work.RUNS[name](size, *options)
    clock, busy, answer = [], [], 0.0
    for number in range(int(calls) + (int(calls) > 1)):  # of several the first one is to get warm
        before = time.perf_counter(), time.process_time()
        answer = call()
        took = time.perf_counter() - before[0], time.process_time() - before[1]
        if isinstance(answer, basics.Measured):
            *took, answer = answer
        if number or int(calls) == 1:
            clock.append(took[0])
            busy.append(took[1])
    basics.tell(median(clock), median(busy), answer)


if __name__ == "__main__":
    main()
