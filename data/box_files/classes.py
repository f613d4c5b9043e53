"""Class ids from the names and numbers that box files use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from utils.boxes import LEFT_OUT_CLASS
from utils.errors import UserError

KEY = "dataset.preprocessing.class_names"
_MOST_SHOWN = 20


@dataclass(frozen=True)
class ClassNames:
    """What a box file's classes are called in the dataset.

    Attributes:
        names: classes of the dataset in the order of their ids; None: take the names of the file, sorted.
        renamed: from a name, or a number as text, in the file to a name of the dataset; to None: leave its boxes out.
    """

    names: tuple[str, ...] | None = None
    renamed: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        targets = {name for name in self.renamed.values() if name is not None}
        unknown = sorted(targets - set(self.names)) if self.names is not None else []
        if unknown:
            raise UserError(
                expected=f"names of dataset.classes: {', '.join(self.names or ())}",
                got=", ".join(unknown),
                where=KEY,
                fix="map to a name of dataset.classes, or to null to leave the boxes out",
            )

    def extended(self, labels: Sequence[str]) -> ClassNames:
        """With the names that these labels have and that are not known yet, sorted, behind the others."""
        unknown = {self._name(label) for label in set(labels) if self._id(label) is None}
        return ClassNames((*(self.names or ()), *sorted(name for name in unknown if name)), self.renamed)

    def ids(self, labels: Sequence[str], where: str) -> npt.NDArray[np.uint32]:
        """Class id of each label, [N]; ``LEFT_OUT_CLASS`` for those to be left out. Capitals make no difference.

        Raises:
            UserError: names that the dataset does not have; all of them, with their counts.
        """
        counts = Counter(labels)
        ids = {label: self._id(label) for label in counts}
        unknown = [label for label, found in ids.items() if found is None]
        if unknown:
            self.refuse({label: counts[label] for label in unknown}, where)
        return np.asarray([ids[label] for label in labels], dtype=np.uint32)

    def refuse(self, counts: Mapping[str, int], where: str) -> NoReturn:
        """Refuse classes that the dataset does not have.

        Args:
            counts: boxes of each name.
            where: for the message.
        """
        words = [f"{label} ({counts[label]} boxes)" for label in sorted(counts)[:_MOST_SHOWN]]
        raise UserError(
            expected=f"names of dataset.classes: {', '.join(self.names or ())}",
            got=", ".join(words) + ", ..." * (len(counts) > _MOST_SHOWN),
            where=where,
            fix=f"say what they are called, {_way(counts)}; null as NAME leaves the boxes out",
        )

    def refuse_nameless(self, counts: Mapping[str, int], where: str) -> None:
        """Refuse numbers that a file names no class for, without a name here: they are not those of the dataset.

        Args:
            counts: boxes of each number.
            where: for the message.
        """
        words = [f"{label} ({counts[label]} boxes)" for label in sorted(counts) if label not in self.renamed]
        if self.names is not None and words:
            raise UserError(
                expected="a name for each class, in the file's categories or beside its labels",
                got="none for " + ", ".join(words[:_MOST_SHOWN]) + ", ..." * (len(words) > _MOST_SHOWN),
                where=where,
                fix=f"add the names, or say what they are called, {_way(set(counts) - set(self.renamed))}",
            )

    def _name(self, label: str) -> str | None:
        """What the dataset calls a class, None if its boxes are left out."""
        if label in self.renamed:
            return self.renamed[label]
        folded = {name.casefold(): target for name, target in self.renamed.items()}
        return folded.get(label.casefold(), label)

    def _id(self, label: str) -> int | None:
        name = self._name(label)
        if name is None:
            return LEFT_OUT_CLASS
        names = self.names or ()
        if name in names:
            return names.index(name)
        folded = [known.casefold() for known in names]
        if folded.count(name.casefold()) == 1:
            return folded.index(name.casefold())
        return int(name) if _is_id(name) else None


def _way(labels: Collection[str]) -> str:
    """How names are mapped; an example where Hydra needs no marks around the name."""
    simple = [label for label in sorted(labels) if re.fullmatch(r"[\w.-]+( [\w.-]+)*", label)]
    example = f"with '++{KEY}={{{simple[0]}:NAME}}' or " if simple else ""
    return f"{example}in the dataset's file ({KEY.removeprefix('dataset.')})"


def _is_id(label: str) -> bool:
    return label.isascii() and label.isdigit() and int(label[:12]) < LEFT_OUT_CLASS and len(label) <= 10
