"""What a command leaves of itself for its report: settings, hardware, commit, data, time."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from modules.checkpoints.names import CONFIG
from utils.atomic import write_json
from utils.json_files import read_json

FILE = "run.json"
_MANIFEST = "manifest.json"


def write_record(
    folder: Path, command: str, config: Mapping[str, Any], seconds: float, matter: Sequence[str] = ()
) -> None:
    """Add this start of a command to ``run.json``; it holds those that came to their end.

    Args:
        folder: of the run.
        command: e.g. ``train``.
        config: the composed configuration as plain containers.
        seconds: that the command has taken.
        matter: settings that its report tells first.
    """
    earlier = read_record(folder).get("starts", [])
    began = (datetime.now().astimezone() - timedelta(seconds=seconds)).isoformat(" ", "seconds")
    start = {"began": began, "seconds": round(seconds, 1), **_machine()}
    record: dict[str, Any] = {"command": command, "commit": _commit(), "starts": [*earlier, start]}
    record["matter"] = list(matter)
    data = _data(config)
    if data is not None:
        record["data"] = data
    if not (folder / CONFIG).is_file():
        record["config"] = dict(config)
    write_json(folder / FILE, record)


def read_record(folder: Path) -> dict[str, Any]:
    """What ``write_record`` has left; empty where there is none.

    Raises:
        UserError: the file is damaged.
    """
    if not (folder / FILE).is_file():
        return {}
    kind = {"starts?": [dict], "data?": dict, "config?": dict, "matter?": [str]}
    return read_json(folder / FILE, kind, expected="what a command left of itself", fix="remove the file")


def _machine() -> dict[str, Any]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_initialized() else "CPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}"
    return {
        "device": device,
        "cores": cores,
        "system": system,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _commit() -> str | None:
    """Commit of the program, with a plus if files have changed since; None outside a repository."""
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _data(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Which manifest the dataset has, by its checksum."""
    path = config.get("dataset", {}).get("path", config.get("dataset_path"))
    manifest = Path(str(path)) / _MANIFEST
    if path is None or not manifest.is_file():
        return None
    text = manifest.read_bytes()
    told = {"manifest": str(manifest), "sha256": hashlib.sha256(text).hexdigest()}
    held = json.loads(text)
    simple = {key: value for key, value in held.items() if isinstance(value, str | int | float)}
    return {**told, **simple} if isinstance(held, dict) else told
