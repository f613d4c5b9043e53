"""A dataset that the project has never heard of: one YAML file and recordings, and every command works on it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the Blosc filter with HDF5)
import numpy as np
import pytest

from data.events.bbox import RAW_BBOX_DTYPE, write_bbox_npy
from data.events.formats.dat import write_dat
from data.events.types import Events
from tests.helpers.commands import REPOSITORY, run

HEIGHT, WIDTH = 200, 300
CLASSES = ("boat", "buoy", "bird")
SECONDS = 1.6
LABEL_US = 1e6 / 12

EXAMPLES = REPOSITORY / "docs" / "examples"
"""The folder of configs that docs/DATASETS.md shows."""

TINY = (
    "model.backbone.embed_dim=8",
    "model.backbone.attention.dim_head=8",
    "model.fpn.depth=0.33",
    "hardware.accelerator=cpu",
    "hardware.num_workers.train=0",
    "hardware.num_workers.eval=0",
    "batch_size.train=2",
    "batch_size.eval=2",
    "logging.progress_bar=false",
    "logging.report=false",
)


def record(folder: Path, name: str, seed: int, as_npz: bool = False) -> None:
    """Three things drift through the picture; events where they are, boxes around them at 12 Hz."""
    rng = np.random.default_rng(seed)
    sizes = np.array([[60, 24], [12, 30], [20, 16]])
    start = np.stack((rng.uniform(10, 150, 3), rng.uniform(10, 150, 3)), axis=1)
    speed = rng.uniform(-15, 40, size=(3, 2))
    count = 30_000
    t = np.sort(rng.uniform(0, SECONDS * 1e6, count)).astype(np.int64)
    which = rng.integers(0, 3, count)
    place = start[which] + speed[which] * t[:, None] / 1e6 + rng.uniform(0, 1, (count, 2)) * sizes[which]
    x, y = np.clip(place[:, 0], 0, WIDTH - 1), np.clip(place[:, 1], 0, HEIGHT - 1)
    events = Events.from_arrays(t, x.astype(np.int64), y.astype(np.int64), rng.integers(0, 2, count))
    times = np.arange(1, int(SECONDS * 12)) * LABEL_US
    boxes = np.zeros(3 * len(times), dtype=RAW_BBOX_DTYPE)
    boxes["t"], boxes["class_id"], boxes["class_confidence"] = (
        np.repeat(times.astype(np.int64), 3),
        np.tile(np.arange(3), len(times)),
        1,
    )
    corners = start[None] + speed[None] * times[:, None, None] / 1e6
    boxes["x"], boxes["y"] = corners.reshape(-1, 2).T
    boxes["w"], boxes["h"] = np.tile(sizes, (len(times), 1)).T
    folder.mkdir(parents=True, exist_ok=True)
    write_bbox_npy(folder / f"{name}_bbox.npy", boxes)
    if as_npz:
        np.savez(folder / f"{name}.npz", t=events.t, x=events.x, y=events.y, p=events.p, height=HEIGHT, width=WIDTH)
    else:
        write_dat(folder / f"{name}_td.dat", events, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recordings, and the one file that makes them a dataset."""
    root = tmp_path_factory.mktemp("harbour")
    for seed, (split, name) in enumerate((("train", "a"), ("train", "b"), ("val", "c"), ("test", "d"))):
        record(root / "raw" / split, name, seed, as_npz=split == "test")
    (root / "my_configs" / "dataset").mkdir(parents=True)
    text = (EXAMPLES / "dataset" / "harbour.yaml").read_text()
    (root / "my_configs" / "dataset" / "harbour.yaml").write_text(
        re.sub(r"^path: .*$", f"path: {root / 'dataset'}", text, flags=re.MULTILINE)
    )
    arguments = (f"raw_path={root / 'raw'}", "hardware.num_workers=0")
    assert run("scripts/preprocess_dataset.py", *chosen(root), *arguments) == 0
    return root


def chosen(root: Path) -> tuple[str, ...]:
    """How a user names a dataset whose file lies in a folder of their own."""
    return ("--config-dir", str(root / "my_configs"), "dataset=harbour")


@pytest.fixture(scope="module")
def checkpoint(harbour: Path) -> Path:
    arguments = (*TINY, "training.max_steps=2", "training.precision=32", f"output.dir={harbour / 'run'}")
    assert run("train.py", *chosen(harbour), "dataset.ratio=0.5", *arguments) == 0
    return harbour / "run" / "last.ckpt"


@pytest.fixture(scope="module")
def pseudo(harbour: Path, checkpoint: Path) -> Path:
    save_dir = harbour / "pseudo" / "train"
    arguments = (*TINY, "dataset.ratio=0.5", f"checkpoint={checkpoint}", f"save_dir={save_dir}")
    least = ("model.postprocess.confidence_threshold=0.00001", "model.pseudo_label.min_track_len=0")
    none = ("dataset.pseudo_label.obj_thresh=0", "dataset.pseudo_label.cls_thresh=[0,0.001]")
    assert run("predict.py", *chosen(harbour), *arguments, *least, *none) == 0
    return save_dir.parent


def test_frames_and_labels_are_as_the_file_says(harbour: Path) -> None:
    sequence = harbour / "dataset" / "train" / "a"
    frames = sequence / "event_representations_v2" / "stacked_histogram_dt=40_nbins=4"
    with h5py.File(frames / "event_representations.h5", locking=False) as file:  # as our reader may have it open
        assert file["data"].shape[1:] == (8, HEIGHT, WIDTH)
    steps = np.diff(np.load(sequence / "labels_v2" / "timestamps_us.npy"))
    assert np.abs(steps - LABEL_US).max() <= 1
    assert set(np.diff(np.load(frames / "objframe_idx_2_repr_idx.npy"))) == {2}


def test_training_writes_a_checkpoint(checkpoint: Path) -> None:
    done = json.loads((checkpoint.parent / "done.json").read_text())
    assert done["steps"] == 2


def test_evaluation_names_the_classes(
    harbour: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capsys.readouterr()
    arguments = (*TINY, f"checkpoint={checkpoint}", "use_test_set=1", f"save_json={tmp_path / 'figures.json'}")
    assert run("val.py", *chosen(harbour), *arguments) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in CLASSES)
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert {f"AP_{name}" for name in CLASSES} <= figures.keys()


def test_pseudo_labels_keep_the_ground_truth(harbour: Path, pseudo: Path) -> None:
    for name in ("a", "b"):
        before = np.load(harbour / "dataset" / "train" / name / "labels_v2" / "labels.npz")["labels"]
        after = np.load(pseudo / "train" / name / "labels_v2" / "labels.npz")["labels"]
        real = after[after["t"] > 0]
        assert len(real) == sum(before["t"][:, None] == np.unique(real["t"])[None, :]).sum()
        assert (after["t"] == 0).any(), "labels of the detector's own"


def test_quality_of_pseudo_labels(
    harbour: Path, pseudo: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capsys.readouterr()
    arguments = (f"dataset.path={pseudo}", f"save_json={tmp_path / 'quality.json'}")
    assert run("val_dst.py", *chosen(harbour), *arguments) == 0
    assert json.loads((tmp_path / "quality.json").read_text())["classes"] == list(CLASSES)


def test_training_goes_on_with_pseudo_labels(harbour: Path, pseudo: Path, tmp_path: Path) -> None:
    arguments = (*TINY, "training.max_steps=1", "training.precision=32", f"output.dir={tmp_path / 'run'}")
    assert run("train.py", *chosen(harbour), "model=rnndet-soft", f"dataset.path={pseudo}", *arguments) == 0


def test_inspection_finds_nothing_wrong(harbour: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    capsys.readouterr()
    arguments = (f"save_picture={tmp_path / 'look.png'}", f"save_json={tmp_path / 'look.json'}")
    assert run("scripts/inspect_dataset.py", *chosen(harbour), *arguments) == 0
    text = capsys.readouterr().out
    assert "nothing is wrong" in text
    report = json.loads((tmp_path / "look.json").read_text())
    assert list(report["splits"]["train"]["boxes_per_class"]) == list(CLASSES)
    assert report["splits"]["train"]["label_rate_hz"] == pytest.approx(12, abs=0.05)
    assert report["splits"]["train"]["events"] == 60_000
    assert report["splits"]["train"]["events_are_exact"]
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_and_splits(harbour: Path, checkpoint: Path, tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    sequence = str(harbour / "dataset" / "val" / "c")
    assert run("scripts/visualize.py", sequence, "--checkpoint", str(checkpoint), "--still", str(still)) == 0
    assert still.is_file()
    split = tmp_path / "split.json"
    assert run("scripts/make_splits.py", *chosen(harbour), "dataset.train_ratio=0.5", f"output={split}") == 0
    assert json.loads(split.read_text()) == ["a"]


def test_the_file_is_the_one_that_is_documented() -> None:
    shown = (REPOSITORY / "docs" / "DATASETS.md").read_text(encoding="utf-8")
    assert (EXAMPLES / "dataset" / "harbour.yaml").read_text(encoding="utf-8") in shown


def test_the_other_way_to_name_a_folder_of_configs(harbour: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    searchpath = f"hydra.searchpath=[file://{harbour / 'my_configs'}]"
    assert run("train.py", searchpath, "dataset=harbour", "--cfg", "job") == 0
    assert "name: harbour" in capsys.readouterr().out


NAME = re.compile(r"(gen1|gen4|1mpx|pedro|synthetic|harbour)(x0\.\d+.*|[_-].*)?", flags=re.IGNORECASE)
CHIPS = REPOSITORY / "data" / "events" / "formats" / "evt_header.py"
"""Its table tells the sizes of chips, one of which is called gen4 as well."""


def python_files() -> list[Path]:
    rooms = ("config", "data", "models", "modules", "utils", "scripts")
    files = [file for room in rooms for file in sorted((REPOSITORY / room).rglob("*.py"))]
    return [*files, *sorted(REPOSITORY.glob("*.py"))]


def names_a_dataset(node: ast.expr) -> bool:
    """Whether a string, or one of a literal collection, is or begins with the name of a dataset."""
    strings = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return any(NAME.fullmatch(text) for text in strings)


def decisions(tree: ast.AST) -> list[ast.expr]:
    """Expressions that decide by a string: comparisons, membership, startswith and its like, match, keys of tables."""
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            found += [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("startswith", "endswith", "find", "index", "count", "match", "search", "fullmatch"):
                found += [node.func.value, *node.args]
        elif isinstance(node, ast.MatchValue):
            found.append(node.value)
        elif isinstance(node, ast.Dict):
            found += [key for key in node.keys if key is not None]
    return found


def test_no_dataset_is_told_by_its_name() -> None:
    files = python_files()
    assert len(files) > 100
    wrong = []
    for file in sorted({*files} - {CHIPS}):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        wrong += [f"{file}:{node.lineno}" for node in decisions(tree) if names_a_dataset(node)]
    assert not wrong, f"a dataset's name decides something: {wrong}"


def test_the_search_for_names_finds_them() -> None:
    for code in ('if cfg.name == "gen1": pass', 'x = name in ("gen4", "a")', 'n.startswith("pedro")', '{"gen1": 1}[n]'):
        assert any(names_a_dataset(node) for node in decisions(ast.parse(code))), code
