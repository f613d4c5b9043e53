"""Read recordings with other programs; runs where those are installed: ``readers.py FOLDER FILE...``.

Prints JSON: of each file and program that reads such files, the archive of its columns in the folder, or an error.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_MOST_SHOWN = 100


def evlib(path: Path) -> list[Any]:
    """In the order of the file."""
    frame = importlib.import_module("evlib").load_events(str(path), sort=False).collect()
    t = frame["t"].dt.total_microseconds().to_numpy()
    return [t, frame["x"].to_numpy(), frame["y"].to_numpy(), frame["polarity"].to_numpy() > 0]


def faery(path: Path) -> list[Any]:
    """All packets."""
    stream = importlib.import_module("faery").events_stream_from_file(str(path))
    events = np.concatenate([np.array(packet) for packet in stream])
    return [events["t"], events["x"], events["y"], events["on"]]


def expelliarmus(path: Path) -> list[Any]:
    """The kind is told by the file's name."""
    kind = path.stem.lower()
    events = importlib.import_module("expelliarmus").Wizard(encoding=kind).read(str(path))
    return [events["t"], events["x"], events["y"], events["p"]]


def aedat(path: Path) -> list[Any]:
    """The first stream of events."""
    decoder = importlib.import_module("aedat").Decoder(str(path))
    events = np.concatenate([packet["events"] for packet in decoder if "events" in packet])
    return [events["t"], events["x"], events["y"], events["on"]]


def tonic(path: Path) -> list[Any]:
    """Through the package ``aedat``."""
    events = importlib.import_module("tonic.io").read_aedat4(str(path))
    return [events["t"], events["x"], events["y"], events["on"]]


AEDAT4 = ("dv_lz4.aedat4", "dv_boxes.aedat4")

READERS: dict[str, tuple[Callable[[Path], list[Any]], tuple[str, ...]]] = {
    "evlib": (evlib, ("EVT2.raw", "EVT2.1.raw", "EVT3.raw", "prophesee.h5", "dsec.h5")),
    "faery": (faery, ("dat.dat", "EVT2.raw", "EVT2.1.raw", "EVT3.raw")),
    "expelliarmus": (expelliarmus, ("dat.dat", "EVT2.raw", "EVT3.raw")),
    "aedat": (aedat, AEDAT4),
    "tonic": (tonic, AEDAT4),
}
"""Programs, and the files whose formats they say they read."""


def main(folder: Path, files: list[Path]) -> None:
    """Read everything; what a program cannot read is named with its error."""
    for tool, (read, known) in READERS.items():
        for path in files:
            if path.name not in known:
                continue
            out, problem = folder / f"{path.name}.{tool}.npz", ""
            try:
                columns: dict[str, Any] = dict(zip("txyp", map(np.asarray, read(path)), strict=True))
                np.savez(out, **columns)
            except Exception as error:  # whatever a program raises on a file is its answer
                problem = " ".join(str(error).replace(str(path), path.name).split())[:_MOST_SHOWN]
            print(json.dumps([path.name, tool, out.name, problem]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
