"""Store reference arrays small, bit for bit: ``python -m tests.helpers.pack_golden --help``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - its import lets h5py read compressed files
import numpy as np

from tests.helpers.golden_files import GOLDEN, load_golden, pack
from utils.atomic import atomic_path
from utils.commands.cli import run_command
from utils.errors import UserError

log = logging.getLogger(__name__)


def read(source: Path) -> dict[str, Any]:
    """Arrays of an .npz, or of all .h5, .npz and .npy below a folder, under ``relative/path::name``.

    Raises:
        UserError: neither.
    """
    if source.is_file() and source.suffix == ".npz":
        with np.load(source, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    if not source.is_dir():
        raise UserError(
            expected="an .npz file or a folder", got="something else", where=str(source), fix="give one of them"
        )
    arrays: dict[str, Any] = {}
    for path in sorted(source.rglob("*.*")):
        name = path.relative_to(source).as_posix()
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                arrays |= {f"{name}::{key}": np.asarray(file[key]) for key in file}
        elif path.suffix == ".npz":
            arrays |= {f"{name}::{key}": value for key, value in read(path).items()}
        elif path.suffix == ".npy":
            arrays[name] = np.load(path, allow_pickle=False)
    return arrays


def main() -> None:
    """Pack, read back, compare."""
    parser = argparse.ArgumentParser(description="Pack arrays into tests/golden/NAME.xz and check them bit for bit.")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="an .npz file, or a dataset folder")
    parser.add_argument("name", metavar="NAME", help="written to tests/golden/NAME.xz")
    parser.add_argument("--keys", nargs="*", metavar="START", help="only arrays whose key starts with one of these")
    args = parser.parse_args()

    def run() -> None:
        arrays = read(args.source)
        if args.keys:
            arrays = {key: value for key, value in arrays.items() if key.startswith(tuple(args.keys))}
        target = GOLDEN / f"{args.name}.xz"
        with atomic_path(target) as temporary:
            Path(temporary).write_bytes(pack(arrays))
        back = load_golden(args.name)
        assert list(back) == list(arrays), "what is packed comes back"
        for key, array in arrays.items():
            assert (back[key].dtype, back[key].shape) == (array.dtype, array.shape), key
            assert back[key].tobytes() == array.tobytes(), f"{key} comes back bit for bit"
        log.info("%s: %d arrays, %d bytes", target.name, len(arrays), target.stat().st_size)

    run_command(run)


if __name__ == "__main__":
    main()
