"""What ``predict.py`` does with a teacher and a dataset: label the share of a process, or track old labels again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.data.genx import DataModule
from modules.detection import Module
from modules.labelling.config import pseudo_labeler_config
from modules.labelling.finished import check_finished
from modules.labelling.frequency import no_labelled_frames
from modules.labelling.retrack import retrack_dataset
from modules.labelling.teachers import Teachers, teacher_files
from modules.processes.shared_work import Process
from modules.pseudo_labeler import PseudoLabeler
from utils.atomic import write_json
from utils.errors import UserError

log = logging.getLogger(__name__)

SUMMARY = "summary.json"

_WORDS = {
    "sequences": "sequences with labels",
    "missing": "sequences that were not labelled",
    "frames": "labelled frames",
    "ground_truth": "boxes of ground truth",
    "pseudo": "pseudo boxes",
    "ignored_short_track": "boxes to ignore, unsure or of short tracks",
    "ignored_inpainted": "boxes to ignore, painted into gaps of tracks",
}
"""By name in the summary; the others are pseudo boxes of a class."""


def provenance(config: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """What decides the labels beside the thresholds: teacher, arithmetic, data and which labels it may keep.

    Args:
        config: the composed configuration as plain containers.
        precision: of the detector.
    """
    dataset = config["dataset"]
    kept = ("name", "ratio", "ratio_offset", "train_ratio", "split_file", "sequence_length")
    checksums = [_checksum(file) for file in teacher_files(config)]
    return {
        "checkpoint_sha256": checksums[0] if len(checksums) == 1 else checksums,
        "precision": precision,
        "confidence_threshold": float(config["model"]["postprocess"]["confidence_threshold"]),
        **{key: dataset[key] for key in kept},
        "lanes": int(config["batch_size"]["eval"]),
        **({"from_zero": True} if dataset["evaluation"]["from_zero"] else {}),
    }


def _checksum(file: str) -> str:
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def label(
    config: Mapping[str, Any], data_module: DataModule, modules: Sequence[Module], process: Process, precision: str
) -> dict[str, Any]:
    """Label the share of one process; the summary of the whole dataset comes back on the first one.

    Args:
        config: the composed configuration as plain containers.
        data_module: of the dataset.
        modules: the teachers.
        process: this one.
        precision: of the detectors.

    Raises:
        UserError: thresholds are to follow from labelled frames, and there are none.
    """
    settings = pseudo_labeler_config(config)
    seen = settings.use_gt and any(sequence.visible.any() for sequence in data_module.sequences("train"))
    if settings.rule is not None and not seen:
        # before the detector runs for hours, and before anything is written
        raise no_labelled_frames(config["model"]["pseudo_label"]["thresholds"])
    detectors = [module.to(process.device).eval() for module in modules]
    labeler = PseudoLabeler(
        settings,
        Path(config["dataset"]["path"]) / "train",
        config["save_dir"],
        provenance(config, precision),
        is_main=process.rank == 0,
        barrier=process.barrier,
        teacher=", ".join(str(Path(file).absolute()) for file in teacher_files(config)),
    )

    def loader(reverse: bool, finished: frozenset[str]) -> Iterable[Mapping[str, Any]]:
        return data_module.labelling_dataloader(reverse, finished, process.rank, process.world_size)

    return labeler.run(detectors[0] if len(detectors) == 1 else Teachers(detectors), loader)


def retrack(config: Mapping[str, Any]) -> dict[str, Any]:
    """Apply thresholds and tracking again to the labels of the pseudo dataset at ``dataset.path``, without a detector.

    Returns:
        Summary of the new dataset, see ``complete_dataset``.

    Raises:
        UserError: there is no such dataset, or it is unfinished.
    """
    labels, save_dir = Path(config["dataset"]["path"]) / "train", Path(config["save_dir"])
    if not labels.is_dir():
        raise UserError(
            expected="a pseudo-label dataset with a train folder",
            got="no such folder",
            where=f"dataset.path={config['dataset']['path']}",
            fix="give the dataset whose labels are to be tracked again",
        )
    check_finished(config)
    summary = retrack_dataset(pseudo_labeler_config(config), labels, save_dir, {"labels": str(labels.resolve())})
    write_json(save_dir.parent / SUMMARY, summary)
    log.info("tracked again in %s", save_dir)
    return summary


def summary_text(summary: Mapping[str, Any]) -> str:
    """What was written, as a table in words.

    Args:
        summary: see ``complete_dataset``.
    """
    numbers = {_WORDS.get(name, f"... {name.removeprefix('pseudo_')}"): value for name, value in summary.items()}
    rows = [(words, str(len(value) if isinstance(value, list) else value)) for words, value in numbers.items()]
    wide, digits = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{words:<{wide}}  {number:>{digits}}" for words, number in rows)
