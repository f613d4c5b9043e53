"""Files and settings that carry code: nothing of it runs. Payloads would make a folder, which must not appear."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.bad_inputs import command
from tests.helpers.commands import REPOSITORY, SMALL
from tests.helpers.made_once import MadeOnce
from tests.helpers.tiny_dataset import write_tiny_dataset
from utils.errors import UserError

ROOMS = ("config", "data", "models", "modules", "scripts", "utils")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=1)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists(), "the payload ran"


def train(dataset: Path, folder: Path, *more: str) -> None:
    """One step of training.

    Raises:
        UserError: what the command said.
    """
    own = (f"dataset.path={dataset}", f"output.dir={folder / 'run'}", "training.max_steps=1")
    command("train.py", *SMALL, "validation.limit_val_batches=1", *own, *more)


def test_the_payload_itself_works(tmp_path: Path) -> None:
    torch.save(Payload(tmp_path / "ran"), tmp_path / "a.pt")
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "ran").is_dir()


@pytest.mark.parametrize("key", ["checkpoint", "weight"])
def test_a_hostile_checkpoint(dataset: Path, tmp_path: Path, mark: Path, key: str) -> None:
    torch.save({"state_dict": {}, "global_step": 1, "more": Payload(mark)}, tmp_path / "hostile.ckpt")
    with pytest.raises(UserError, match=r"hostile\.ckpt"):
        train(dataset, tmp_path, f"{key}={tmp_path / 'hostile.ckpt'}")


def test_a_hostile_resume_point_is_set_aside(dataset: Path, tmp_path: Path, mark: Path) -> None:
    (tmp_path / "run").mkdir()
    torch.save({"state_dict": {}, "global_step": 1, "more": Payload(mark)}, tmp_path / "run" / "last.ckpt")
    with pytest.raises(UserError, match="only damaged ones"):
        train(dataset, tmp_path)
    assert (tmp_path / "run" / "last.ckpt.damaged-1").is_file()


def hostile_array(mark: Path) -> np.ndarray[Any, Any]:
    return np.array([Payload(mark)] * 3, dtype=object)


@pytest.mark.parametrize("name", ["labels_v2/labels.npz", "labels_v2/timestamps_us.npy", "objframe_idx_2_repr_idx.npy"])
def test_hostile_arrays_in_a_dataset(tmp_path: Path, mark: Path, name: str) -> None:
    root = write_tiny_dataset(tmp_path / "data", train=1, val=1, test=0)
    file = next(path for path in (root / "train").rglob("*") if path.as_posix().endswith(name))
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
        np.savez(file, **{**arrays, "labels": hostile_array(mark)})
    else:
        np.save(file, hostile_array(mark), allow_pickle=True)
    with pytest.raises(UserError, match=file.name.replace(".", r"\.")):
        train(root, tmp_path)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_a_hostile_recording(tmp_path: Path, mark: Path, suffix: str) -> None:
    file = tmp_path / f"events{suffix}"
    if suffix == ".npz":
        np.savez(file, t=hostile_array(mark), x=[1, 2, 3], y=[1, 2, 3], p=[0, 0, 1])
    else:
        np.save(file, hostile_array(mark), allow_pickle=True)
    with pytest.raises(UserError, match="object"):
        command("scripts/visualize.py", file, "--output", tmp_path / "out.mp4")


@pytest.mark.parametrize("tag", ["object/apply:os.mkdir", "object/new:os.mkdir", "object/apply:os.system"])
def test_yaml_with_python_tags(dataset: Path, tmp_path: Path, mark: Path, tag: str) -> None:
    file = tmp_path / "in" / "dataset" / "mine.yaml"
    file.parent.mkdir(parents=True)
    argument = f"mkdir {mark}" if "system" in tag else str(mark)
    file.write_text(f"defaults: [synthetic, _self_]\nname: !!python/{tag} ['{argument}']\n")
    with pytest.raises(UserError, match="python"):
        command("train.py", "--config-dir", tmp_path / "in", "dataset=mine", f"output.dir={tmp_path / 'run'}")


@pytest.mark.parametrize(
    "text",
    ["$(mkdir MARK)", "`mkdir MARK`", "; mkdir MARK", "| mkdir MARK", "__import__('os').mkdir('MARK')"],
)
def test_settings_with_code_are_text(dataset: Path, tmp_path: Path, mark: Path, text: str) -> None:
    code = text.replace("MARK", mark.name)
    quoted = '"' + code.replace("\\", "\\\\").replace('"', '\\"') + '"'
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        train(dataset, tmp_path, f"wandb.project_name={quoted}", f"dataset.name={quoted}")
    finally:
        os.chdir(before)
    assert code in (tmp_path / "run" / "config.yaml").read_text().replace("''", "'")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.learning_rate", "__import__('os').mkdir('MARK')"),
        ("training.max_steps", "os.mkdir('MARK')"),
        ("dataset.name", "${eval:os.mkdir('MARK')}"),
        ("dataset.name", "${python:os.mkdir}"),
    ],
)
def test_expressions_are_refused(dataset: Path, tmp_path: Path, mark: Path, key: str, value: str) -> None:
    quoted = '"' + value.replace("MARK", str(mark)) + '"'
    with pytest.raises(UserError):
        train(dataset, tmp_path, f"{key}={quoted}")


# No line of the program could run what a file or a setting says.
Rule = Callable[[ast.Call, str], bool]


def _keyword(call: ast.Call, name: str) -> Any:
    values = [word.value for word in call.keywords if word.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


FORBIDDEN: dict[str, Rule] = {
    "eval, exec or compile": lambda call, name: name in ("eval", "exec", "compile", "__import__"),
    "a shell": lambda call, name: name in ("os.system", "os.popen") or _keyword(call, "shell") not in (None, False),
    "unpickling": lambda call, name: (
        name.split(".")[0] in ("pickle", "dill", "joblib", "shelve", "marshal")
        and name.split(".")[-1] in ("load", "loads", "open", "Unpickler")
    ),
    "YAML that makes objects": lambda call, name: name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    "np.load without allow_pickle=False": lambda call, name: (
        name == "np.load" and _keyword(call, "allow_pickle") is not False
    ),
    "torch.load without weights_only=True": lambda call, name: (
        name == "torch.load" and _keyword(call, "weights_only") is not True
    ),
    "objects named by the config": lambda call, name: name in ("instantiate", "hydra.utils.instantiate"),
}


def calls(source: str) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


def found(source: str) -> list[str]:
    return [
        f"line {call.lineno}: {what}"
        for call, name in calls(source)
        for what, rule in FORBIDDEN.items()
        if rule(call, name)
    ]


def test_no_code_that_runs_what_it_reads() -> None:
    files = [*REPOSITORY.glob("*.py"), *(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))]
    assert len(files) > 100
    bad = {str(path.relative_to(REPOSITORY)): found(path.read_text(encoding="utf-8")) for path in files}
    assert not {path: lines for path, lines in bad.items() if lines}


def test_the_rules_find_what_they_forbid() -> None:
    for source in (
        "eval(x)", "os.system(x)", "subprocess.run(x, shell=True)", "pickle.loads(x)", "yaml.load(x)", "np.load(x)",
        "np.load(x, allow_pickle=True)", "torch.load(x)", "torch.load(x, weights_only=False)",
    ):  # fmt: skip
        assert found(source), source
    for source in ("model.eval()", "subprocess.run([x])", "yaml.safe_load(x)", "np.load(x, allow_pickle=False)"):
        assert not found(source), source
