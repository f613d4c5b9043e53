"""Which files of other programs are read event by event, and which programs read ours: a table for docs/FORMATS.md.

Installs the programs, with pinned versions, into an environment of its own (1.2 GB, a minute); they are no part of the
project's. An event is equal if its time, x, y and polarity are.

For example:
  python scripts/formats_table/__main__.py --markdown docs/FORMATS.md
  python scripts/formats_table/__main__.py --environment /tmp/formats
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data.events.chunked import concatenate
from data.events.formats.csv_text import write_csv
from data.events.formats.dat import write_dat
from data.events.formats.evt_write import write_evt
from data.events.formats.hdf5 import write_hdf5
from data.events.open import open_recording
from data.events.types import Events
from scripts import make_parser
from scripts.benchmark.measure import write_section
from scripts.formats_table.writers import HEIGHT, WIDTH
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.tables import table

HERE = Path(__file__).resolve().parent
VERSIONS = {
    "evlib": "0.13.2",
    "faery": "0.7.1",
    "expelliarmus": "1.1.12",
    "dv-processing": "2.0.4",
    "aedat": "2.3.0",
    "tonic": "1.7.0",
    "h5py": "3.16.0",
    "hdf5plugin": "7.1.0",
    "numpy": "2.4.6",
}
SECTION = "formats of other programs"
_STARTS = 3000
_START_US = 3_000_000


def make_events(seed: int = 0) -> Events:
    """Single events and runs in a row, from 3 s to behind the turn of EVT3's clock."""
    rng = np.random.default_rng(seed)
    times = _START_US + np.cumsum(rng.choice([0, 1, 5, 63, 64, 500, 4096, 5000, 70_000], _STARTS))
    rows = []
    for time in times.tolist():
        first, y, p = int(rng.integers(WIDTH - 60)), int(rng.integers(HEIGHT)), int(rng.integers(2))
        columns = np.flatnonzero(rng.random(60) < 0.6) if rng.random() < 0.3 else np.zeros(1, np.int64)
        rows += [(time, first + column, y, p) for column in columns.tolist()]
    return Events.from_arrays(*np.array(rows).T)


def write_ours(folder: Path, events: Events) -> list[Path]:
    """A file of each of our writers."""
    size = (events, HEIGHT, WIDTH)
    writers: dict[str, Callable[[Path], None]] = {
        "dat.dat": lambda path: write_dat(path, *size),
        "EVT2.raw": lambda path: write_evt(path, *size, kind="EVT2"),
        "EVT2.1.raw": lambda path: write_evt(path, *size, kind="EVT2.1"),
        "EVT3.raw": lambda path: write_evt(path, *size, kind="EVT3"),
        "prophesee.h5": lambda path: write_hdf5(path, *size, layout="prophesee"),
        "dsec.h5": lambda path: write_hdf5(path, *size, layout="dsec"),
        "text.csv": lambda path: write_csv(path, *size),
    }
    for name, write in writers.items():
        write(folder / name)
    return [folder / name for name in writers]


def verdict(got: Events | dict[str, Any], wanted: Events) -> str:
    """``yes``, or ``no`` and what differs."""
    columns = {name: np.asarray(got[name] if isinstance(got, dict) else getattr(got, name)) for name in "txyp"}
    if len(columns["t"]) != len(wanted):
        return f"no: {len(columns['t'])} of {len(wanted)} events"
    different = [name for name, values in columns.items() if (values != getattr(wanted, name)).any()]
    return f"no: other {', '.join(different)}" if different else "yes"


def read_foreign(path: Path, wanted: Events) -> str:
    """What our reader makes of a file."""
    try:
        return verdict(concatenate(list(open_recording(path, (HEIGHT, WIDTH)).chunks())), wanted)
    except UserError as error:
        return f"no: {error.got}"


def install(folder: Path) -> Path:
    """An environment with the other programs; its Python."""
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
    wanted = [f"{name}=={version}" for name, version in VERSIONS.items()]
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=False)
    if done.returncode:
        raise UserError(
            expected=f"packages that can be installed: {', '.join(wanted)}",
            got=f"pip ended with status {done.returncode}",
            where=str(folder),
            fix="see what pip says above; a package index must be reachable",
        )
    return python


def call(*command: Path | str) -> list[Any]:
    """Run a program of ours in the other environment; the JSON of each line."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def make_tables(python: Path, folder: Path) -> str:
    """Both tables, in Markdown."""
    events = make_events()
    columns = {name: getattr(events, name).astype(np.int64) for name in "txyp"}
    np.savez(folder / "events.npz", **columns)
    (folder / "theirs").mkdir()
    written = call(python, HERE / "writers.py", folder / "events.npz", folder / "theirs")
    theirs = [
        (name, tool, VERSIONS[tool], read_foreign(folder / "theirs" / file, events)) for file, name, tool in written
    ]
    files = [*write_ours(folder, events), *(folder / "theirs").glob("dv_*")]
    answers = []
    for file, tool, out, problem in call(python, HERE / "readers.py", folder, *files):
        if problem:
            answers.append((file, tool, VERSIONS[tool], f"no: {problem}"))
            continue
        with np.load(folder / out, allow_pickle=False) as archive:
            answers.append((file, tool, VERSIONS[tool], verdict(dict(archive), events)))
    lines = [
        f"{len(events)} events from {events.t[0] / 1e6:.1f} to {events.t[-1] / 1e6:.1f} s, {WIDTH} x {HEIGHT}:",
        "",
        *table(["format", "written by", "version", "events equal here"], theirs),
        "",
        "Files of the writers in `data/events/formats`, and of dv-processing (`dv_`), in other programs' readers:",
        "",
        *table(["file", "read by", "version", "events equal there"], sorted(answers)),
    ]
    return "\n".join(lines)


def _run() -> None:
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables into this file, too")
    parser.add_argument("--environment", type=Path, metavar="FOLDER", help="keep the other programs there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="formats-") as name:
        folder = Path(name)
        text = make_tables(install(args.environment or folder / "environment"), folder)
    print(text)
    if args.markdown is not None:
        write_section(args.markdown, SECTION, text)


def main() -> None:
    """Command line."""
    run_command(_run)


if __name__ == "__main__":
    main()
