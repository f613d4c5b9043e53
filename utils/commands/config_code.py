"""Configuration runs nothing: what would make Hydra call a function is refused before anything is composed.

Hydra makes objects of its own nodes (``hydra.callbacks``, ``hydra.launcher``, ``hydra.job_logging``, ...), of whatever
class their ``_target_`` names. Our own files of ``config`` set these nodes; nobody else's file may, and the command
line only launcher, sweep folders, verbosity and where to look for files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from utils.errors import UserError

_ALLOWED = re.compile(
    r"hydra/launcher|hydra\.launcher\.[a-z]\w*(\.\w+)*|hydra\.sweep\.(sub)?dir|hydra\.(verbose|searchpath)"
)
_OF_HYDRA = re.compile(r"(^|[\s/@.])hydra\b")
_TARGET = "_target_"
_FIX = (
    "leave it out; of Hydra's own settings the command line may give hydra/launcher, hydra.launcher.KEY, "
    "hydra.sweep.dir, hydra.sweep.subdir, hydra.verbose and hydra.searchpath; files of your own may give none"
)


def refuse_code(arguments: Sequence[str], config_dir: Path) -> None:
    """Refuse a command line, and the folders of files that it adds, that could make Hydra run what they name.

    Args:
        arguments: of the command.
        config_dir: of this project's own files, which are not looked at.

    Raises:
        UserError: which part of it.
    """
    given = get_args_parser().parse_args(list(arguments))
    for option, value in (("--config-path", given.config_path), ("--experimental-rerun", given.experimental_rerun)):
        if value is not None:
            _refuse(f"{option}={value}", "command line")
    if ".." in re.split("/", given.config_name or ""):
        _refuse(f"--config-name={given.config_name}", "command line")
    folders = [] if given.config_dir is None else [Path(given.config_dir)]
    overrides = list(_parsed(given.overrides))
    for text, override in overrides:
        if _of_hydra(override) or _TARGET in override.key_or_group.split(".") or _names_target(override):
            _refuse(text, "command line")
        if override.key_or_group == "hydra.searchpath":
            places = override.value()
            folders += [_folder(str(place), text) for place in (places if isinstance(places, list) else [places])]
    for text, override in overrides:
        value, group = override.value(), override.key_or_group
        leaves = ".." in re.split(r"[/,\[\]\s]", str(value))
        if leaves and any((folder / group).is_dir() for folder in (config_dir, *folders)):
            _refuse(f"{text}, which leaves the folders of files", "command line")
    for folder in folders:
        if not folder.resolve().is_relative_to(config_dir):
            for file in _files(folder):
                _check_file(file, folder)


def _parsed(texts: Sequence[str]) -> Iterator[tuple[str, Override]]:
    parser = OverridesParser.create()
    for text in texts:
        try:
            yield text, parser.parse_override(text)
        except HydraException:  # Hydra will say what is wrong with it
            continue


def _of_hydra(override: Override) -> bool:
    """Whether an override is of a node of Hydra that is none of the command line's business."""
    key = override.key_or_group
    if _OF_HYDRA.search(override.package or ""):
        return True
    return bool(re.match(r"hydra\b", key)) and (override.is_delete() or not _ALLOWED.fullmatch(key))


def _names_target(override: Override) -> bool:
    text = override.input_line or ""
    hidden = _TARGET in text and ("${" in text or override.key_or_group.startswith("hydra"))
    return hidden or _has_target(override.value())


def _has_target(node: Any) -> bool:
    if isinstance(node, Mapping):
        return any(str(key) == _TARGET or _has_target(value) for key, value in node.items())
    if isinstance(node, ChoiceSweep):
        return any(_has_target(value) for value in node.list)
    return isinstance(node, list | tuple) and any(_has_target(value) for value in node)


def _folder(place: str, text: str) -> Path:
    if "://" in place and not place.startswith("file://"):
        _refuse(text, "command line")
    return Path(place.removeprefix("file://"))


def _files(folder: Path) -> Iterator[Path]:
    """The YAML files below a folder, through links as Hydra reads them."""
    seen: set[str] = set()
    for here, below, names in os.walk(folder, followlinks=True):
        below[:] = [name for name in below if os.path.realpath(Path(here, name)) not in seen]
        seen.update(os.path.realpath(Path(here, name)) for name in below)
        yield from (Path(here, name) for name in sorted(names) if name.endswith(".yaml"))


def _check_file(file: Path, folder: Path) -> None:
    if "hydra" in file.relative_to(folder).with_suffix("").parts:
        _refuse("a file that Hydra takes for settings of its own", str(file))
    try:
        package = re.search(r"^\s*#\s*@package\s+(\S+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException):  # Hydra will tell, if it is ever asked for
        return
    if package is not None and _OF_HYDRA.search(package.group(1)):
        _refuse(package.group().strip(), str(file))
    if not isinstance(content, dict):
        return
    if "hydra" in content:
        _refuse("settings of Hydra", str(file))
    if _has_target(content):
        _refuse(f"a {_TARGET}", str(file))
    for entry in content.get("defaults") or []:
        words = " ".join(f"{key} {value}" for key, value in entry.items()) if isinstance(entry, dict) else str(entry)
        if _OF_HYDRA.search(words) or ".." in re.split(r"[/\s]", words):
            _refuse(f"defaults: {words}", str(file))


def _refuse(got: str, where: str) -> NoReturn:
    raise UserError(expected="settings, and nothing that could make Hydra run code", got=got, where=where, fix=_FIX)
