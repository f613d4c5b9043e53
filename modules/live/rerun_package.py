"""The optional package rerun-sdk: loaded when it is asked for, its window opened, and no report of its use sent."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from utils.errors import UserError

PACKAGE = "rerun-sdk==0.41.0"
"""What ``pip install`` is given, as in ``pyproject.toml``."""

PORT = 9876
"""On which a viewer listens, if nobody says otherwise."""

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET")
_WAIT_S = 20.0
_LOOK_S = 0.1
_STEADY = 5  # looks in a row: a viewer that finds no display listens for a moment before it ends


def load_rerun() -> Any:
    """The module ``rerun``.

    Raises:
        UserError: the package is not installed, or another one of that name is.
    """
    os.environ["RERUN_ANALYTICS"] = "0"  # this process sends no reports in 0.41; versions that read this never do
    got = "another package called rerun"
    try:
        library = importlib.import_module("rerun")
        if hasattr(library, "RecordingStream"):
            return library
    except ModuleNotFoundError as error:
        got = f"no module {error.name}"
    raise UserError(
        expected="the package rerun-sdk, which this project does without elsewhere",
        got=got,
        where="--viewer, --output *.rrd or RerunViewer",
        fix=f"pip install {PACKAGE}",
    )


def quiet_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with which the viewer sends no reports: 0.41 obeys only CI, its successors RERUN_ANALYTICS.

    >>> quiet_environment({"HOME": "/me", "FORCE_RERUN_ANALYTICS": "1"})["CI"]
    '1'
    """
    kept = {name: value for name, value in environment.items() if name != "FORCE_RERUN_ANALYTICS"}
    return {"RUST_LOG": "error", **kept, "CI": "1", "RERUN_ANALYTICS": "0"}


def open_window() -> None:
    """Open the viewer's window, which outlives this process; a viewer that listens on this machine already is taken.

    Raises:
        UserError: there is no display, or the viewer ends.
    """
    if _listening():
        return
    if sys.platform == "linux" and not any(map(os.environ.get, _DISPLAYS)):
        raise _no_window(f"no display: {', '.join(_DISPLAYS)} are not set")
    command = [sys.executable, "-m", "rerun_cli", "--bind", "127.0.0.1", "--port", str(PORT), "--hide-welcome-screen"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            env=quiet_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        steady, until = 0, time.monotonic() + _WAIT_S
        while process.poll() is None and time.monotonic() < until:
            steady = steady + 1 if _listening() else 0
            if steady == _STEADY:
                return
            time.sleep(_LOOK_S)
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines()
    raise _no_window(words[-1] if words else f"nothing that listens on port {PORT} after {_WAIT_S:g} s")


def _listening() -> bool:
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
    except OSError:
        return False
    return True


def _no_window(got: str) -> UserError:
    return UserError(
        expected="a window of the Rerun viewer",
        got=got,
        where="--viewer or RerunViewer()",
        fix="write a file, --output x.rrd or RerunViewer('x.rrd'), and open it where there is a display: rerun x.rrd",
    )
