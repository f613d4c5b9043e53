"""Look at a whole dataset, sequence by sequence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.inspection.config import Expectation, complete
from data.inspection.findings import Finding, Findings
from data.inspection.sequence import inspect_sequence
from data.inspection.summary import SplitSummary
from data.preprocessing.manifest import in_two_splits, read_manifest
from data.sequences.account import UNMEANT, WARN_SHARE
from data.sequences.layout import list_sequences
from utils.errors import UserError
from utils.progress import track

LOST_BOXES = "boxes dropped in preprocessing"
_WRONG_SHARE = 0.1
"""From this share of boxes on that no setting asked to drop, something is wrong."""
SPLITS_FIX = "preprocess or download this split, or name those that there should be, e.g. splits=[train,val]"


@dataclass
class DatasetReport:
    """What a dataset holds and what is wrong with it.

    Attributes:
        expected: how it should be.
        splits: summaries of the splits that are there.
        findings: what is wrong, or worth knowing.
    """

    expected: Expectation
    splits: dict[str, SplitSummary] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        e = self.expected
        return {
            "path": str(e.path),
            "representation": e.ev_repr_name,
            "downsampled": e.downsampled,
            "sensor_hw": e.sensor_hw,
            "channels": e.channels,
            "classes": e.classes,
            "splits": {name: split.as_dict(e.classes) for name, split in self.splits.items()},
            "wrong": self.findings.num_wrong,
            "findings": self.findings.as_dict(),
        }


def inspect_dataset(expectation: Expectation) -> DatasetReport:
    """Look at every sequence of every split; one sequence at a time is in memory.

    Raises:
        UserError: there is no dataset; whatever is wrong inside of one becomes a finding.
    """
    report = DatasetReport(complete(expectation))
    expected = report.expected
    jobs: list[tuple[str, Path]] = []
    homes: dict[str, str] = {}
    for split in expected.splits:
        folder = expected.path / split
        if not folder.is_dir():
            got = "a link that leads nowhere" if folder.is_symlink() else "no such folder"
            report.findings.add(Finding("missing splits", split, got, fix=SPLITS_FIX))
            continue
        report.splits[split] = SplitSummary()
        sequences = list_sequences(folder)
        jobs += [(split, sequence) for sequence in sequences]
        for finding in _check_folder(folder, split, [s.name for s in sequences], homes):
            report.findings.add(finding)
    for split, sequence in track(jobs, desc="inspecting", unit="sequence"):
        facts = inspect_sequence(sequence, expected, split)
        report.splits[split].add(facts, expected.sensor_hw)
        for finding in facts.findings:
            report.findings.add(finding)
    _add_manifest(report)
    for finding in _check_accounts(report):
        report.findings.add(finding)
    return report


def _add_manifest(report: DatasetReport) -> None:
    """What only the manifest knows: boxes of recordings of which nothing was made, and where recordings are."""
    with suppress(UserError):
        manifest = read_manifest(report.expected.path) or {}
        for split, entry in manifest.get("splits", {}).items():
            for boxes in entry.get("left_out_boxes", {}).values() if split in report.splits else ():
                report.splits[split].account.add(boxes["raw_boxes"], 0, boxes["dropped"])
            for name in entry.get("without_recording", []):
                detail = "raw_path had none of this name when it was preprocessed last"
                report.findings.add(Finding("sequences without a recording", f"{split}/{name}", detail, wrong=False))
        for name, other in in_two_splits(manifest).items():
            detail, fix = f"the same content as that of {other}", "remove it from one of them, or figures are too good"
            report.findings.add(Finding("recordings in two splits", name, detail, fix=fix))


def _check_accounts(report: DatasetReport) -> Iterator[Finding]:
    for split, summary in report.splits.items():
        account = summary.account
        if account.share() > WARN_SHARE:
            detail = f"{100 * account.share():.1f} % of {account.read}: {account.words()}"
            wrong = account.share(UNMEANT) >= _WRONG_SHARE
            fix = "see docs/LABEL_TIMES.md for what each reason means and which key changes it, then preprocess again"
            yield Finding(LOST_BOXES + " (without being asked to)" * wrong, split, detail, wrong, fix)


def _check_folder(folder: Path, split: str, names: list[str], homes: dict[str, str]) -> list[Finding]:
    """What is wrong with a split's folder; ``homes`` remembers where each sequence was seen first."""
    found = []
    if not names:
        found.append(Finding("splits without sequences", split, "no folder in it", fix=SPLITS_FIX))
    for name in names:
        if name in homes:
            detail, fix = f"also in {homes[name]}", "remove it from one of them, or figures are too good"
            found.append(Finding("sequences in two splits", f"{split}/{name}", detail, fix=fix))
        homes.setdefault(name, split)
    unfinished = sorted(path.name for path in folder.iterdir() if path.name.startswith(".") and ".tmp-" in path.name)
    if unfinished:
        detail = f"{len(unfinished)}, for example {unfinished[0]}: a run under way, or one that was stopped"
        found.append(Finding("unfinished sequences", split, detail, wrong=False))
    return found
