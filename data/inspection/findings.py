"""What is wrong with a dataset, counted by kind, with a few examples of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 5
"""Examples kept of each kind; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: what, in words that are the same for every such thing.
        where: file or folder.
        detail: the particulars.
        wrong: False: worth knowing only.
        fix: what to do about it.
    """

    kind: str
    where: str
    detail: str
    wrong: bool = True
    fix: str = "preprocess the sequence again, or copy it again from where it came"


@dataclass
class Findings:
    """Findings by kind, in constant memory.

    Attributes:
        counts: findings of each kind, in the order they turned up.
        examples: the first of each kind.
    """

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Finding]] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if there are few of its kind."""
        self.counts[finding.kind] = self.counts.get(finding.kind, 0) + 1
        examples = self.examples.setdefault(finding.kind, [])
        if len(examples) < EXAMPLES:
            examples.append(finding)

    def kinds(self, wrong: bool) -> list[str]:
        """Kinds of what is wrong, or of what is only worth knowing; the most frequent first."""
        mine = [kind for kind in self.counts if self.examples[kind][0].wrong == wrong]
        return sorted(mine, key=lambda kind: -self.counts[kind])

    @property
    def num_wrong(self) -> int:
        """Number of findings that are wrong."""
        return sum(self.counts[kind] for kind in self.kinds(wrong=True))

    def lines(self) -> list[str]:
        """What to print: each kind with its count, then its examples."""
        lines: list[str] = []
        for wrong, title in ((True, "wrong"), (False, "worth knowing")):
            for kind in self.kinds(wrong):
                lines.append(f"{title}: {kind} ({self.counts[kind]})")
                lines += [f"    {example.where}: {example.detail}" for example in self.examples[kind]]
                more = self.counts[kind] - len(self.examples[kind])
                lines += [f"    ... and {more} more"] if more else []
        return lines

    def first(self, kind: str) -> Finding:
        """The first of its kind."""
        return self.examples[kind][0]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: by kind, whether it is wrong, how often, and examples."""
        return {
            kind: {
                "wrong": self.examples[kind][0].wrong,
                "count": self.counts[kind],
                "examples": [{"where": e.where, "detail": e.detail} for e in self.examples[kind]],
            }
            for kind in [*self.kinds(True), *self.kinds(False)]
        }
