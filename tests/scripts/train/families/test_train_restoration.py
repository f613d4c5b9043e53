"""VRT with spikes through the real commands: clips, a training that goes on bit for bit, evaluation, pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import torch

from modules.live.streaming_detector import StreamingDetector
from modules.restoration import likeness
from tests.helpers.commands import call, command, failure, run
from utils.errors import UserError
from utils.pictures.video import probe_video

WORLD = (
    "world=clips",
    "world.height=16",
    "world.width=24",
    "world.duration_s=0.25",
    "world.render_rate_hz=200",
    "world.num_train=2",
    "world.num_val=1",
    "world.num_test=1",
    "clips.bins=4",
    "num_workers=0",
)
TINY = (
    "model=vrt_spike-small",
    "model.vrt.embed_dim=8",
    "model.vrt.late_dim=8",
    "model.vrt.window=[2,2,2]",
    "model.vrt.drop_path=0.1",
    "model.spikes.bins=4",
    "model.clips={frames:2,crop:16}",
    "model.tiles={frames:3,side:20,overlap_frames:1,overlap:4}",
    "dataset=clips",
    "batch_size.train=2",
    "training.lr_scheduler.total_steps=5",
    "validation.val_check_interval=0",
    "checkpointing.every_n_steps=1",
    "hardware.accelerator=cpu",
    "logging.progress_bar=false",
    "logging.log_every_n_steps=1",
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


def test_from_clips_to_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, whole, parts = tmp_path / "clips", tmp_path / "whole", tmp_path / "parts"
    assert run("scripts/make_synthetic.py", *WORLD, f"clips.path={clips}") == 0
    start = (*TINY, f"dataset.path={clips}")
    assert run("train.py", *start, "training.max_steps=5", "logging.report=false", f"output.dir={whole}") == 0
    done = json.loads((whole / "done.json").read_text())
    assert done["val/PSNR"] > 5
    assert 0 < done["val/PSNR_blurred"] < 60
    for steps in (3, 5):  # an epoch has four batches
        assert (
            run("train.py", *start, f"training.max_steps={steps}", f"output.dir={parts}", "logging.report=false") == 0
        )
    first, second = weights(whole), weights(parts)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)

    figures, checkpoint = tmp_path / "val.json", whole / "last.ckpt"
    quiet = ("dataset=clips", f"dataset.path={clips}", "hardware.accelerator=cpu", "logging.progress_bar=false")
    capsys.readouterr()
    assert run("val.py", *quiet, f"checkpoint={checkpoint}", f"save_json={figures}") == 0
    assert "restored" in capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert found["labels"] == {"frames": 5}
    assert found["figures"]["PSNR"] == pytest.approx(done["val/PSNR"], abs=1e-4)
    page = (tmp_path / "val" / "report.html").read_text()
    assert "SSIM" in page
    assert "model.tiles.side" in page.split("</table>")[0]
    assert "tta.enable" not in page.split("</table>")[0]

    assert run("scripts/compare_runs.py", str(whole), str(parts)) == 0
    assert f"| PSNR | {done['val/PSNR']:.4f}".rstrip("0") in capsys.readouterr().out

    film, sequence = command("scripts/videos/restored.py"), clips / "test" / "test_0000.h5"
    output, still = tmp_path / "clip.mp4", tmp_path / "clip.png"
    assert call(film, "restored.py", str(checkpoint), str(sequence), "-o", str(output), "--still", str(still)) == 0
    assert probe_video(output).frames == 5
    picture = cv2.imread(str(still))
    assert picture is not None
    assert picture.shape[1] >= 2 * 3 * 24
    message = failure(capsys, "train.py", *start, "model.spikes.bins=8", f"output.dir={tmp_path / 'other'}")
    assert "got:      4" in message
    message = failure(capsys, "predict.py", *quiet, f"checkpoint={checkpoint}", f"save_dir={tmp_path / 'p' / 'train'}")
    assert "'vrt_spike', which is one for restoration" in message
    (tmp_path / "events" / "val" / "a").mkdir(parents=True)
    others = ("dataset=synthetic", f"dataset.path={tmp_path / 'events'}", *quiet[2:], f"checkpoint={checkpoint}")
    assert "last.ckpt holds 'vrt_spike', a model for restoration" in failure(capsys, "val.py", *others)
    with pytest.raises(UserError, match="which is one for restoration"):
        StreamingDetector.from_checkpoint(checkpoint, confidence_threshold=0.5)
    message = failure(capsys, "train.py", *start, "training.on_bad_sequence=skip", f"output.dir={tmp_path / 'other'}")
    assert "training.on_bad_sequence" in message


def test_figures_are_whole_whatever_the_network_computes_in() -> None:
    drawn = torch.Generator().manual_seed(0)
    sharp = torch.rand(2, 3, 16, 16, generator=drawn)
    blurred = (sharp + 0.05 * torch.rand(sharp.shape, generator=drawn)).clamp(0, 1)
    whole = likeness(blurred, sharp)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = likeness(blurred, sharp)
    assert all(torch.equal(one, other) for one, other in zip(whole, half, strict=True))
