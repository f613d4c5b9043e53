"""One number per class from what users write: a single number, one per class or kind of class, or a mapping by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from utils.errors import UserError

Thresholds = float | str | Sequence[float] | Mapping[str, float]
"""A number, numbers (also in words: ``"0.6, 0.3"``), or numbers by the names of the classes."""

KEYS = ("obj_thresh", "cls_thresh", "ignore_thresh", "unsure_thresh")

_SHOWN = 4
"""Classes that an example names."""


def per_class(values: Thresholds, index: Sequence[int], where: str, classes: Sequence[str] = ()) -> tuple[float, ...]:
    """Spread numbers over classes.

    Args:
        values: one number for all classes; one per class, in the order of their ids; one per kind of class; or a
            mapping from every class to its own.
        index: the kind of each class, that is its place in ``values`` when these are fewer than the classes.
        where: key named in messages.
        classes: names in the order of their ids.

    Raises:
        UserError: no numbers, another count of them, one outside [0, 1], or other names than the classes'.

    >>> per_class(0.5, [0, 1], "x"), per_class("0.7, 0.35", [1, 1, 0], "x"), per_class([0.1, 0.2, 0.3], [1, 1, 0], "x")
    ((0.5, 0.5), (0.35, 0.35, 0.7), (0.1, 0.2, 0.3))
    >>> per_class({"pedestrian": 0.3, "car": 0.6}, [0, 1], "x", ["car", "pedestrian"])
    (0.6, 0.3)
    """
    numbers = _numbers(values)
    found = _spread(numbers, index, classes)
    if found is not None and all(0 <= number <= 1 for number in found):
        return found
    names = [str(name) for name in classes] or [f"class {number}" for number in range(len(index))]
    kinds = len(set(index))
    counts = f"{kinds} or {len(index)} numbers" if kinds < len(index) else f"{len(index)} numbers"
    examples = [f"{(0.6, 0.3)[place % 2]}" for place in range(len(names))]
    pairs = [f"{name}:{number}" for name, number in zip(names, examples, strict=True)]
    raise UserError(
        expected=f"one number, {counts}, or one by the name of each class ({_some(names, ', ')}), in [0, 1]",
        got=f"{len(numbers)} numbers: {numbers}" if isinstance(numbers, list) else repr(values),
        where=where,
        fix=f"give one number for all classes, one per class as in [{_some(examples, ',')}], or by name as in "
        f"{{{_some(pairs, ',')}}}",
    )


def _numbers(values: Any) -> Any:
    """``"0.6, 0.3"`` as a list, ``"0.6"`` as a number; other words, mappings and numbers as they are."""
    if not isinstance(values, str):
        return list(values) if isinstance(values, Sequence) else values
    try:
        numbers = [float(part) for part in values.split(",")]
    except ValueError:
        return values
    return numbers if len(numbers) > 1 else numbers[0]


def _spread(values: Any, index: Sequence[int], classes: Sequence[str]) -> tuple[float, ...] | None:
    """One number per class, None if the values are no numbers or not as many as are needed."""
    if isinstance(values, Mapping):
        by_name = {str(name): number for name, number in values.items()}
        names = [str(name) for name in classes]
        if by_name.keys() != set(names):
            return None
        values, index = [by_name[name] for name in names], range(len(names))
    numbers = values if isinstance(values, list) else [values] * len(index)
    if not all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers):
        return None
    kinds = sorted(set(index))
    if len(numbers) == len(kinds) and kinds == list(range(len(kinds))):
        return tuple(float(numbers[kind]) for kind in index)
    return tuple(float(number) for number in numbers) if len(numbers) == len(index) else None


def _some(parts: Sequence[str], comma: str) -> str:
    return comma.join([*parts[:_SHOWN], *(["..."] if len(parts) > _SHOWN else [])])


def kinds_of(dataset: Mapping[str, Any]) -> list[int]:
    """Which of the given thresholds is whose, for each class of a dataset's section.

    Raises:
        UserError: not one entry for each class.
    """
    classes, kinds = dataset["classes"], dataset["pseudo_label"]["threshold_index"]
    listed = isinstance(kinds, Sequence) and len(kinds) == len(classes)
    if not listed or not all(isinstance(kind, int) for kind in kinds):
        raise UserError(
            expected=f"one entry for each of {len(classes)} classes",
            got=f"{len(kinds)}: {list(kinds)}" if isinstance(kinds, Sequence) else repr(kinds),
            where="dataset.pseudo_label.threshold_index",
            fix="say for each class which of the given thresholds is its own, e.g. [1,1,0]",
        )
    return list(kinds)


def check_thresholds(config: Mapping[str, Any]) -> None:
    """Check all thresholds of pseudo labels, also those that only a later command reads.

    Args:
        config: composed, plain containers.

    Raises:
        UserError: thresholds that do not fit the classes of the dataset.
    """
    dataset, kinds = config["dataset"], kinds_of(config["dataset"])
    for section in ("dataset", "model"):
        given = config[section].get("pseudo_label", {})
        for key in KEYS:
            if given.get(key) is not None:
                per_class(given[key], kinds, f"{section}.pseudo_label.{key}", dataset["classes"])


def with_head_thresholds(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with one threshold per class in ``model.head.ignore_bbox_thresh``, if there are any.

    Raises:
        UserError: thresholds that do not fit the classes of the dataset.
    """
    model, dataset = config["model"], config["dataset"]
    values = model.get("head", {}).get("ignore_bbox_thresh")
    if values is None:
        return config
    listed = isinstance(values, Sequence) and len(values) == len(dataset["classes"])  # in the order of the classes
    kinds = list(range(len(values))) if listed else kinds_of(dataset)
    spread = list(per_class(values, kinds, "model.head.ignore_bbox_thresh", dataset["classes"]))
    return {**config, "model": {**model, "head": {**model["head"], "ignore_bbox_thresh": spread}}}
