"""What the command line really says about a section of the configuration, as against what is there by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from utils.commands.composed import command_name, composed, search_overrides


def with_given(
    cfg: DictConfig, section: str, kind: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, tuple[Any, str]]]:
    """A section with its interpolations, and what the command line says of it.

    An override gives its key, and every key that is an interpolation of it. A file chosen from another group gives the
    keys it sets. One chosen for the section itself gives those in which it differs from the default choice, and
    ``kind``: the rest is where experiments begin, and nobody asked for it.

    Args:
        cfg: as Hydra composed it; outside a command of Hydra nothing is given.
        section: a group of config files and the key they fill, e.g. ``model``.
        kind: keys below it that a chosen file always gives.

    Returns:
        the section as plain containers; and by their keys below it the values that were given, each with the part of
        the command that says so.
    """
    unresolved, resolved = (OmegaConf.to_container(cfg[section], resolve=resolve) for resolve in (False, True))
    assert isinstance(unresolved, dict), "sections are mappings"
    section_now = {str(name): value for name, value in unresolved.items()}
    if not HydraConfig.initialized():
        return section_now, {}
    sources: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for text in HydraConfig.get().overrides.task:
        override = OverridesParser.create().parse_override(text)
        key, value = override.key_or_group, None if override.is_delete() else override.value()
        # Groups are folders, with / between them; to look for one takes Hydra a hundredth of a second.
        if "." in key or not GlobalHydra.instance().config_loader().get_group_options(
            key, None, None, search_overrides()
        ):
            names = [name for name, _ in leaves(value, key)]
            aliases |= {f"${{{name}}}": text for name in names}
        elif key == section:
            names = [*_differing(section, [], [text]), *(f"{section}.{name}" for name in kind)]
        else:
            names = _set_by_files(section, key, value if isinstance(value, list) else [value], text)
        sources |= dict.fromkeys(names, text)
    raw = dict(leaves(section_now, section))
    found = {}
    for name, value in leaves(resolved, section):
        says = [text for key, text in sources.items() if name == key or name.startswith(f"{key}.")]
        says += [aliases[raw[name]]] if isinstance(raw.get(name), str) and raw[name] in aliases else []
        if says:
            found[name.removeprefix(f"{section}.")] = (value, says[-1])
    return section_now, found


def output_given(cfg: DictConfig) -> bool:
    """Whether the command line says where files go, so that no place has to be guessed."""
    return bool({"dir", "name", "root"} & with_given(cfg, "output")[1].keys())


def leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values below a node of plain containers; lists are values.

    >>> list(leaves({"a": {"b": 1, "c": [2]}, "d": {}}, "x"))
    [('x.a.b', 1), ('x.a.c', [2]), ('x.d', {})]
    """
    if not isinstance(node, Mapping) or not node:
        yield key, node
        return
    for name, value in node.items():
        yield from leaves(value, f"{key}.{name}" if key else str(name))


def _set_by_files(section: str, group: str, files: Sequence[Any], text: str) -> list[str]:
    """Keys below a section that the files of another group set, whatever their value."""
    try:
        chosen = [composed(f"{group}/{file}", ()) for file in files if file is not None]
    except HydraException:  # a file that chooses those of other groups is whole only within the command's own
        others = [other for other in HydraConfig.get().overrides.task if other != text]
        return _differing(section, others, [*others, text])
    names = [name for config in chosen for name, _ in leaves(OmegaConf.to_container(config), "")]
    return [name for name in names if name.startswith(f"{section}.")]


def _differing(section: str, before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Keys below a section whose values differ between two lists of overrides of the command."""
    values, others = (
        dict(leaves(OmegaConf.to_container(composed(command_name(), texts)[section]), section))
        for texts in (now, before)
    )
    return [name for name, value in values.items() if name not in others or others[name] != value]
