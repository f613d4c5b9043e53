"""Names of a dataset's classes, as its manifest has them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from data.sequences.stored_labels import LABEL_DIR
from utils.errors import UserError
from utils.json_files import read_json

_KIND = {"settings?": {"classes?": [str]}}


def class_names(dataset: Path) -> tuple[str, ...]:
    """Names by class id of a preprocessed dataset, or one of pseudo labels; none where its manifest tells none.

    Args:
        dataset: folder with the splits; the manifest lies in it.
    """
    with suppress(UserError):
        manifest = read_json(dataset / "manifest.json", _KIND, expected="a manifest", fix="make it anew")
        return tuple(manifest.get("settings", {}).get("classes", ()))
    return ()


def classes_of_sequences(*paths: Path) -> tuple[str, ...]:
    """As ``class_names``, of the first path that is a sequence's folder within a dataset that tells names."""
    datasets = [path.absolute().parent.parent for path in paths if (path / LABEL_DIR).is_dir()]
    return next(filter(None, map(class_names, datasets)), ())
