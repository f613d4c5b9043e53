"""Errors of composing a configuration, told as a user's mistake with the nearest valid name."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from utils.commands.path_overrides import as_value
from utils.errors import UserError

CONFIG_DIR = Path(__file__).resolve().parents[2] / "config"

CONFIG_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)
"""What composition and access raise when a command or a YAML file is wrong."""


def explain(error: Exception, config_name: str) -> UserError:
    """Turn a Hydra or OmegaConf error into a UserError with the nearest valid name.

    Args:
        error: what composition or access raised.
        config_name: primary config, used to list the valid keys.
    """
    own = _own_error(error)
    if own is not None:
        return own
    text = str(error).strip()
    where = "command line" if len(sys.argv) > 1 else f"config/{config_name}.yaml"
    unread = error.override if isinstance(error, OverrideParseException) else None
    ambiguous = re.search(r"Ambiguous value for argument '(.*)'$", text, re.MULTILINE)
    refused = ambiguous.group(1) if ambiguous else unread
    if refused is not None:
        key, _, value = refused.partition("=")
        several = "" if not ambiguous else f"for several values {key}=[{value}]; for one of this name "
        return UserError(
            expected="KEY=VALUE in Hydra's grammar, in which , = ( ) [ ] { } # and quotes mean something",
            got=refused,
            where=where,
            fix=f"{several}{shlex.quote(f'{key}={as_value(value)}')}",
        )
    unknown_key = re.search(r"Could not override '([^']+)'", text)
    if unknown_key:
        key = unknown_key.group(1)
        known = [name for name in _known_keys(config_name) if name != key]
        group = key if _options(key) else key.partition(".")[0]
        if _options(group) and group not in known:
            return UserError(
                expected=f"+ before {group}, which is no part of the configuration until it is added",
                got=f"'{key}' without it",
                where=where,
                fix="add " + " or ".join(f"+{group}={option}" for option in _options(group)),
            )
        return UserError(
            expected="a key of the configuration",
            got=f"'{key}', which does not exist",
            where=where,
            fix=_nearest_key(key, known) or f"list the keys with: python {_program()} --cfg job",
        )
    unknown_option = re.search(r"Could not find '([^']+)'", text)
    if unknown_option or is_no_file(error):
        name = unknown_option.group(1) if unknown_option else _no_file_given()
        path = re.fullmatch(r"(\w+)/(.*/[^/]+)\.ya?ml", name)
        if path and not (CONFIG_DIR / name).parent.is_dir():
            return _no_path(path[1], Path(path[2]), where)
        group, _, option = name.rpartition("/")
        options = _options(group)
        return UserError(
            expected=f"one of config/{group}/*.yaml: {_in_short(options)}" if options else "a file of config/",
            got=f"'{option}'",
            where=where,
            fix=_nearest(option, options)
            or f"choose one of them, or {f'add config/{group}/{option}.yaml' if unknown_option else 'leave it out'}",
        )
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:
        key = missing.group(1)
        return UserError(
            expected=f"a value for '{key}'", got="none", where=where, fix=f"add it to the command: {key}=VALUE"
        )
    absent = re.search(r"(?:Interpolation key|Key|Missing key) '?([\w.]+)'?", text)
    if absent and not isinstance(error, yaml.YAMLError):
        full = re.search(r"full_key: (\S+)", text)
        key = full.group(1) if full and full.group(1).endswith(absent.group(1)) else absent.group(1)
        return UserError(
            expected=f"a value for '{key}'",
            got="none",
            where=where,
            fix="add the key to the YAML file, or let it begin with a similar one: defaults: [gen1, _self_]",
        )
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return UserError(
            expected="a YAML file",
            got=str(error.problem),
            where=f"{mark.name}, line {mark.line + 1}",
            fix="correct the file there: closed brackets and quotes, spaces for indentation, a space after each colon",
        )
    return UserError(
        expected="a valid configuration",
        got=" ".join(text.split("\n")[0].split()) or type(error).__name__,
        where=where,
        fix=f"compare with the keys that python {_program()} --cfg job prints",
    )


def _options(group: str) -> list[str]:
    """What can be chosen in a group: names of its files."""
    folders = [folder / group for folder in (CONFIG_DIR, *_own_folders())]
    return sorted({file.stem for folder in folders for file in folder.glob("[!_]*.yaml")})


def _in_short(options: Sequence[str], most: int = 20) -> str:
    """Names, or if they are many, those that do not begin with another one.

    >>> _in_short(["gen1", "gen1x0.01_ss", "gen4"], most=2)
    'gen1, gen4 and 1 more that begin like these'
    """
    if len(options) <= most:
        return ", ".join(options)
    first = [name for name in options if not any(name != other and name.startswith(other) for other in options)]
    return f"{', '.join(first)} and {len(options) - len(first)} more that begin like these"


def _no_path(group: str, file: Path, where: str) -> UserError:
    """A group was given a file's path, where Hydra wants the name of a file in a folder that is called as the group."""
    folder = file.parent.parent if file.parent.name == group else file.parent
    move = "" if file.parent.name == group else f"move the file to {folder / group}/, then "
    return UserError(
        expected=f"the name of a file in a folder that is called {group}",
        got=f"the path {file}.yaml",
        where=where,
        fix=f"{move}give the folder above it and the name: --config-dir {folder} {group}={file.name}",
    )


def is_no_file(error: Exception) -> bool:
    """Whether Hydra refuses what names no file, ``training=null`` or ``training=[1]``; it has no type for that."""
    if type(error) is TypeError:  # of a list with other things than names
        return str(error).endswith("is not iterable") and "[" in _no_file_given()
    return type(error) is ValueError and str(error).startswith("Config group override must be")


def _no_file_given() -> str:
    """The group and what was given for it, ``group/value``, of the first argument that ``is_no_file`` may mean."""
    no_name = r"(?:null|true|false|[\d.eE_+-]+)"
    pattern = rf"\+?([\w/]+)(?:@\S+)?=({no_name}|\[(?:[^\]]*,)?\s*{no_name}\s*(?:,.*)?\])"
    for argument in sys.argv[1:]:
        given = re.fullmatch(pattern, argument, re.IGNORECASE)
        if given and (CONFIG_DIR / given[1]).is_dir():
            return f"{given[1]}/{given[2]}"
    return "a number or null"


def _own_error(error: BaseException | None) -> UserError | None:
    """Our own error that lies behind one of OmegaConf's or Hydra's: a resolver or a check complained."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _own_folders() -> list[Path]:
    """Folders of configs that the command line adds: --config-dir and hydra.searchpath."""
    text = " ".join(sys.argv[1:])
    found = re.findall(r"(?:--config-dir|-cd)[= ](\S+)", text)
    for listed in re.findall(r"hydra\.searchpath=\[([^\]]*)\]", text):
        found += [part.strip(" '\"").removeprefix("file://") for part in listed.split(",")]
    return [Path(folder) for folder in found]


def _program() -> str:
    return Path(sys.argv[0]).name


def _nearest_key(name: str, keys: list[str]) -> str | None:
    """The key that is meant by a part of its last part, or by a name with a mistake in it.

    >>> _nearest_key("seed", ["tta", "reproduce.seed_everything"]), _nearest_key("lr", ["x.learning_rate"])
    ("did you mean 'reproduce.seed_everything'?", "did you mean 'x.learning_rate'?")
    """
    return _did_you_mean(_short_for(name.rpartition(".")[2], keys)) or _nearest(name, keys)


def _short_for(name: str, keys: list[str]) -> list[str]:
    """Up to three keys whose last part is a name, has it as a word, or has words that begin with its letters."""
    ranked = []
    for key in keys:
        words = key.rpartition(".")[2].split("_")
        initials = "".join(word[:1] for word in words)
        ways = ("_".join(words) == name, initials == name, name in words)
        if any(ways):
            ranked.append((ways.index(True), key.count("."), len(key), key))
    return [key for *_, key in sorted(ranked)[:3]]


def _nearest(name: str, candidates: list[str]) -> str | None:
    matches = difflib.get_close_matches(name, candidates, n=3, cutoff=0.6)
    if not matches:
        # A key with a wrong or missing parent: compare the last parts too.
        tail = name.rsplit(".", 1)[-1]
        by_tail = {candidate.rsplit(".", 1)[-1]: candidate for candidate in candidates}
        matches = [by_tail[match] for match in difflib.get_close_matches(tail, list(by_tail), n=3, cutoff=0.7)]
    return _did_you_mean(matches)


def _did_you_mean(matches: Sequence[str]) -> str | None:
    return f"did you mean {' or '.join(repr(match) for match in matches)}?" if matches else None


def _known_keys(config_name: str) -> list[str]:
    """Return all dotted keys of the primary config with the groups that the command line chose, if they compose."""
    choices = [argument for argument in sys.argv[1:] if re.match(r"^\+?[\w/]+=[\w.\-\"']+$", argument)]
    groups = [choice for choice in choices if (CONFIG_DIR / choice.lstrip("+").split("=")[0]).is_dir()]
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        try:
            cfg = hydra.compose(config_name, overrides=groups)
        except HydraException:
            cfg = hydra.compose(config_name)
    container = OmegaConf.to_container(cfg)
    assert isinstance(container, dict), "the primary configs are mappings"
    return list(_walk(container, ""))


def _walk(section: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    for key, node in section.items():
        path = f"{prefix}{key}"
        yield path
        if isinstance(node, Mapping):
            yield from _walk(node, f"{path}.")
