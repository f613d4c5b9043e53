"""What inspect_checkpoint.py says of our checkpoints, of published weights and of what cannot be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from config.compose import compose
from models.registry import spec_of_section
from modules.weights.known_files import KNOWN
from scripts import inspect_checkpoint
from tests.helpers.commands import REPOSITORY, failure, run
from tests.helpers.made_once import MadeOnce

PROGRAM = "scripts/inspect_checkpoint.py"


@pytest.fixture(scope="module")
def rvt_t(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the published size, with the names of the published file."""
    network = spec_of_section({}).build(compose(["dataset=gen1", "+experiment/gen1=tiny"], "val")["model"])
    path = tmp_path_factory.mktemp("weights") / "rvt-t.ckpt"
    torch.save({"state_dict": {f"mdl.{name}": value for name, value in network.state_dict().items()}}, path)
    return path


def test_our_checkpoint_tells_what_it_is(made_once: MadeOnce, warm: None, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = made_once.teacher()
    capsys.readouterr()
    assert run(PROGRAM, str(teacher)) == 0
    text = capsys.readouterr().out
    for words in ("a checkpoint of this project at step ", "trained on synthetic", "car, pedestrian", "128 x 160"):
        assert words in text
    assert "loads:    yes" in text
    assert f"python val.py dataset=synthetic checkpoint={teacher}" in text


def test_weights_alone_are_known_by_their_shapes(rvt_t: Path) -> None:
    facts = inspect_checkpoint.inspect(rvt_t)
    assert facts["what"] == "weights without settings"
    assert facts["network"] == "RVT-T for 2 classes and 20 input channels, 4.41 M parameters"
    assert facts["loads"].startswith("yes, ")
    assert facts["evaluate"].startswith(f"python val.py dataset=gen1 +experiment/gen1=tiny checkpoint={rvt_t} (if")


def test_a_deep_network_has_a_preset_of_its_own(tmp_path: Path) -> None:
    model = compose(["dataset=gen4", "+experiment/gen4=small-deep"], "val")["model"]
    torch.save(spec_of_section(model).build(model).state_dict(), tmp_path / "deep.ckpt")
    facts = inspect_checkpoint.inspect(tmp_path / "deep.ckpt")
    assert facts["loads"].startswith("yes, ")
    assert "dataset=gen4 +experiment/gen4=small-deep " in facts["evaluate"]


def test_published_files_are_known_by_checksum_or_name(rvt_t: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beginning = inspect_checkpoint.inspect(rvt_t)["file"].rpartition(" ")[2][:6]
    monkeypatch.setattr("modules.weights.known_files.KNOWN", [inspect_checkpoint.KnownFile(
        "RVT", "gen1/rvt-t.ckpt", beginning, "gen1", "tiny", 44.1,
    )])  # fmt: skip
    facts = inspect_checkpoint.inspect(rvt_t)
    assert "RVT's gen1/rvt-t.ckpt for gen1, known by its checksum" in facts["what"]
    assert facts["expected"] == "test mAP 44.1 %, as its authors say"
    few = rvt_t.rename(rvt_t.with_name("rvt-s-gen1x0.05_seq.ckpt"))
    monkeypatch.setattr("modules.weights.known_files.KNOWN", ())
    facts = inspect_checkpoint.inspect(few)
    few.rename(rvt_t)
    assert "known by its name alone" in facts["what"]
    assert facts["expected"] == "not stated by its authors"
    assert "+experiment/gen1=small" in facts["evaluate"]


def test_what_does_not_load_says_why(tmp_path: Path, rvt_t: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "gen1_base.ckpt"
    torch.save({"mdl.backbone.stages.0.s5_block.s5.seq.Lambda": torch.ones(3)}, space)
    facts = inspect_checkpoint.inspect(space)
    assert facts["what"].startswith("SSMS's gen1_base.ckpt")
    assert "state-space" in facts["loads"]
    other = tmp_path / "other.ckpt"
    torch.save({"conv.weight": torch.ones(3)}, other)
    assert inspect_checkpoint.inspect(other)["loads"].startswith("not known")
    cut = tmp_path / "cut.ckpt"
    state = torch.load(rvt_t, weights_only=True)["state_dict"]
    removed = next(iter(state))
    state[removed] = torch.full_like(state[removed], torch.nan)
    del state[list(state)[-1]]
    torch.save(state, cut)
    facts = inspect_checkpoint.inspect(cut)
    assert facts["loads"].startswith("no: ")
    assert "1 of them hold numbers that are not finite" in facts["loads"]
    noise = tmp_path / "noise"
    noise.write_bytes(b"no checkpoint")
    assert "written by torch.save" in failure(capsys, PROGRAM, str(noise))
    assert "no such file" in failure(capsys, PROGRAM, str(tmp_path / "none"))


def test_the_page_lists_them() -> None:
    page = (REPOSITORY / "docs/CHECKPOINTS.md").read_text(encoding="utf-8")
    for file in KNOWN:
        figure = "" if file.test_ap is None else f"{file.test_ap}"
        assert f"| {file.authors} | `{file.name}` | {file.md5 or '–'} | `{file.dataset}` | {figure} |" in page
