"""Folders of runs are called after what the command line says of them."""

from __future__ import annotations

from pathlib import Path

from config.given import output_given
from config.resolvers import register_resolvers
from tests.helpers.commands import REPOSITORY, call
from utils.commands.cli import hydra_entry


def names(*arguments: str) -> list[str]:
    """Names of the runs of a command that does nothing."""
    found: list[str] = []
    register_resolvers()
    assert call(hydra_entry("train")(lambda cfg: found.append(cfg.output.name)), "train.py", *arguments) == 0
    return found


def test_rate_labels_and_seed_are_told() -> None:
    assert names("hardware.threads=1", "weight=a.ckpt") == ["rvt-b-gen1-bs8_iter400k"]
    assert names("reproduce.seed_everything=7", "++training.learning_rate=5e-4", "dataset.ratio=0.1") == [
        "rvt-b-gen1-bs8_iter400k_lr0.0005_ratio0.1_seed7"
    ]
    assert names("+semi=mean_teacher", "semi.weight=0.5") == ["rvt-b-gen1-bs8_iter400k_mean_teacher"]


def test_runs_of_a_sweep_have_names_of_their_own(tmp_path: Path) -> None:
    settings = ("--multirun", f"output.root={tmp_path}", "training.weight_decay=0,0.1", "reproduce.seed_everything=1")
    first = names(*settings)
    assert len(set(first)) == 2
    assert all(name.startswith("rvt-b-gen1-bs8_iter400k_seed1_") for name in first)
    assert names(*settings, "hardware.threads=1") == first


def test_the_names_that_the_page_shows(tmp_path: Path) -> None:
    sweep = ("--multirun", "dataset=gen1", "+experiment/gen1=small", "training.weight_decay=0,0.01")
    shown = names(*sweep, f"output.root={tmp_path}")
    page = (REPOSITORY / "docs" / "RUNS.md").read_text(encoding="utf-8")
    assert f"compare_runs.py {' '.join(f'checkpoint/{name}' for name in shown)}\n" in page


def test_a_run_that_has_the_plain_name_keeps_it(tmp_path: Path) -> None:
    plain = "rvt-b-gen1-bs8_iter400k"
    folder = tmp_path / plain
    folder.mkdir()
    (folder / "config.yaml").write_text("training: {learning_rate: 0.0005}\nreproduce: {seed_everything: 0}\n")
    root = f"output.root={tmp_path}"
    assert names(root, "training.learning_rate=5e-4") == [plain]
    assert names(root, "training.learning_rate=5e-4", "reproduce.seed_everything=1") == [f"{plain}_lr0.0005_seed1"]
    assert names(root, "training.learning_rate=0.1") == [f"{plain}_lr0.1"]


def test_whether_a_place_is_given() -> None:
    def given(*arguments: str) -> bool:
        found: list[bool] = []
        register_resolvers()
        assert call(hydra_entry("val")(lambda cfg: found.append(output_given(cfg))), "val.py", *arguments) == 0
        return found[0]

    assert not given("dataset=synthetic", "+experiment/synthetic=demo", "output.scratch=s", "checkpoint=a.ckpt")
    assert all(given(override) for override in ("output.dir=a", "output.name=a", "output.root=a"))
