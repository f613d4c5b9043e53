r"""Paths on the command line are taken as they are typed, whatever their characters mean to Hydra.

Hydra reads ``= , ( ) # ~ [ ] { } & ! '`` as grammar, knows no letters beyond ASCII, and takes ``2024_01_02`` for a
number. So the values of the keys below are quoted before Hydra sees them. The rule:

- what stands behind ``=`` is the path, spaces included; ``~`` and ``~/`` at its beginning are the home folder;
- ``null`` is none, and ``${...}`` is an interpolation (``\${`` is not);
- a value that is quoted already (``'a=b'`` or ``"a=b"``, the quotes reaching us) is one path and stays as it is;
- with ``--multirun`` a comma parts two paths, and ``choice(...)``, ``glob(...)`` and the like are Hydra's;
- ``checkpoint=[...]`` is a list, whose commas part paths; one with a comma or bracket in it needs quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

PATH_KEYS = (
    *("checkpoint", "weight", "save_dir", "save_json", "save_picture", "source_path"),
    *("raw_path", "path", "preview", "compare", "output", "root", "clips.path"),
    *("dataset_path", "dataset.path", "dataset.split_file"),
    *("output.root", "output.name", "output.dir", "output.scratch"),
    *("model.backbone.pretrained_file", "hydra.run.dir", "hydra.sweep.dir", "hydra.launcher.submitit_folder"),
)
"""Keys of the configuration whose values are paths, or names of folders."""

_OVERRIDE = re.compile(rf"(\+{{0,2}}(?:{'|'.join(map(re.escape, PATH_KEYS))}))=(.*)", re.DOTALL)
_STRINGS = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_QUOTED = re.compile(rf"\s*(?:{_STRINGS})\s*", re.DOTALL)
_CHOICES = re.compile(rf"(?:{_STRINGS}|\$\{{[^}}]*\}}|[^,])+", re.DOTALL)
_ELEMENTS = re.compile(rf"(?:{_STRINGS}|\[[^\]]*\]|\{{[^}}]*\}}|[^,])+", re.DOTALL)
_LIST = re.compile(rf"\[((?:{_STRINGS}|[^\[\]])*+)\]", re.DOTALL)
_LIST_KEYS = frozenset({"checkpoint"})
"""Keys of which a command may take several paths."""
_SWEEP = re.compile(r"(?:choice|glob|range|interval|sort|shuffle|tag)\(.*\)", re.DOTALL)
_MULTIRUN = frozenset({"-m", "--multirun", "hydra.mode=MULTIRUN"})


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Arguments of a command with the values of ``PATH_KEYS`` quoted where Hydra would take them for something else.

    Args:
        arguments: overrides and options, without the program.

    >>> quote_paths(["dataset.path=2024_01_02", "output.dir=run(1)", "checkpoint=a/last.ckpt", "--cfg", "job"])
    ["dataset.path='2024_01_02'", "output.dir='run(1)'", 'checkpoint=a/last.ckpt', '--cfg', 'job']
    >>> quote_paths(["--multirun", "weight=a=1,b=2"]), quote_paths(["weight=a,b"])
    (['--multirun', "weight='a=1','b=2'"], ["weight='a,b'"])
    >>> quote_paths(["checkpoint=[a/last.ckpt,b=1.ckpt]"])
    ["checkpoint=[a/last.ckpt,'b=1.ckpt']"]
    """
    sweeps = not _MULTIRUN.isdisjoint(arguments)
    return [_with_quotes(text, sweeps=sweeps) for text in arguments]


def paths_override(key: str, paths: Sequence[object]) -> str:
    """``key=[path,path]`` likewise, ``key=path`` for a single one.

    >>> paths_override("checkpoint", ["a,b", "c"]), paths_override("checkpoint", ["a"])
    ("checkpoint=['a,b',c]", 'checkpoint=a')
    """
    values = ",".join(quoted(str(path)) for path in paths)
    return f"{key}={values}" if len(paths) == 1 else f"{key}=[{values}]"


def path_override(key: str, path: object) -> str:
    r"""``key=path`` for the command line of another command, whatever the path's characters.

    >>> path_override("output.dir", "runs/a"), path_override("output.dir", "it's")
    ('output.dir=runs/a', "output.dir='it\\'s'")
    """
    return f"{key}={quoted(str(path))}"


def quoted(text: str) -> str:
    """A text as a value that Hydra reads as this very text: itself, or with quotes."""
    try:
        if OverridesParser.create().parse_override(f"key={text}").value() == text:
            return text
    except HydraException:
        pass  # of Hydra's grammar, or against it: that is what quotes are for
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def as_value(text: str) -> str:
    r"""As ``quoted``, but a list stays one: what Hydra cannot read in it is quoted by itself.

    >>> as_value("[a.b=2, c]"), as_value("[a=[1,2],'b=3']"), as_value("a=b")
    ('["a.b=2",c]', '["a=[1,2]",\'b=3\']', "'a=b'")
    """
    inner = text.strip()
    if not (inner.startswith("[") and inner.endswith("]")):
        return quoted(text)
    value = f"[{','.join(_element(part.strip()) for part in _ELEMENTS.findall(inner[1:-1]))}]"
    return value if _readable(value) else quoted(text)


def _element(text: str) -> str:
    return text if _readable(text) else QuotedString(text=text, quote=Quote.double).with_quotes()


def _readable(value: str) -> bool:
    try:
        OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return False
    return True


def _with_quotes(argument: str, *, sweeps: bool) -> str:
    override = _OVERRIDE.fullmatch(argument)
    if override is None or (sweeps and _SWEEP.fullmatch(override[2])):
        return argument
    listed = _LIST.fullmatch(override[2]) if override[1].lstrip("+") in _LIST_KEYS else None
    if listed is not None:
        return f"{override[1]}=[{','.join(_value(part.strip()) for part in _CHOICES.findall(listed[1]))}]"
    parts = _CHOICES.findall(override[2]) if sweeps else [override[2]]
    return f"{override[1]}={','.join(_value(part) for part in parts)}"


def _value(typed: str) -> str:
    if typed.lower() in ("", "null") or _QUOTED.fullmatch(typed):
        return typed
    return quoted(str(Path(typed).expanduser()) if re.match(r"~(/|$)", typed) else typed)
