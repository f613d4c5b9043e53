"""Files that an earlier release wrote: runs, a dataset and pseudo labels, which must still be readable.

``python -m tests.helpers.release_files CHECKOUT`` makes them with that release's programs; see tests/golden/README.md.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.helpers.golden_files import GOLDEN
from utils.atomic import atomic_path

RELEASE = GOLDEN / "release_7d48865.tar.xz"
MADE_AT = Path("/tmp/release")
"""Where they are made: links of a pseudo dataset are absolute."""

DATASET = ("dataset=synthetic", "dataset.path=data", "dataset.sensor_hw=[64,80]", "dataset.representation.bins=2")
SETTINGS = (
    *DATASET, "+experiment/synthetic=demo", "dataset.sequence_length=4", "batch_size.train=2", "batch_size.eval=2",
    "logging.progress_bar=false", "model.backbone.embed_dim=4", "model.backbone.attention.dim_head=4",
    "model.backbone.dim_multiplier=[1,1,1,1]", "model.backbone.attention.mlp_ratio=1", "model.fpn.depth=0.1",
)  # fmt: skip
"""The smallest detector, on frames of 32 x 40."""
TRAINING = (
    *SETTINGS, "training.max_steps=8", "training.lr_scheduler.pct_start=0.5", "validation.val_check_interval=4",
    "checkpointing.every_n_steps=2", "checkpointing.keep_last=1", "logging.log_every_n_steps=1",
    "model.backbone.attention.drop_path=0.3", "dataset.augmentation.random.tflip=0.5",
)  # fmt: skip
LABELLING = (
    "model=pseudo_labeler", *SETTINGS, "checkpoint=stopped/last.ckpt", "dataset.train_ratio=0.5", "tta.enable=true",
    "dataset.pseudo_label.obj_thresh=0.01", "dataset.pseudo_label.cls_thresh=0.01",
    "model.postprocess.confidence_threshold=0.0001", "model.pseudo_label.min_track_len=2",
    "model.pseudo_label.keep_views=true",
)  # fmt: skip
VALIDATION = (*SETTINGS, "checkpoint=stopped/last.ckpt", "model.postprocess.confidence_threshold=0.0001")
QUALITY = (
    "model=pseudo_labeler",
    *DATASET,
    "dataset.path=pseudo",
    "dataset.pseudo_label.obj_thresh=0.01",
    "dataset.pseudo_label.cls_thresh=0.01",
)
"""Of the pseudo labels; their ``dataset.path`` is the last one given."""

_WORLD = (
    "world.height=64", "world.width=80", "world.num_train=2", "world.num_val=1", "world.num_test=1",
    "world.duration_s=1.2", "world.sensor.noise_hz=0.02", "world.sensor.threshold=0.4", "num_workers=0",
)  # fmt: skip
_STOP = """
import sys
from pathlib import Path
from tests.stopping import StopAt, train
train(Path("stopped"), *sys.argv[1:], stop=StopAt("on_before_optimizer_step", 6))
"""
_EXPECTED = """
import json
from pathlib import Path
from tests.stopping import everything
Path("expected.json").write_text(json.dumps(everything(Path("finished"))))
"""
_LEFT_OUT = ("raw", "rank0.txt", ".run.lock", "finished/last.ckpt", "finished/best.ckpt")


def unpack(folder: Path) -> None:
    """Write the files of the release into a folder; links that led to where they were made lead into it."""
    with tarfile.open(RELEASE) as archive:
        for member in archive:
            if member.issym():
                link = folder / member.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(folder / Path(member.linkname).relative_to(MADE_AT))
            else:
                archive.extract(member, folder, filter="data")


def make(checkout: Path) -> None:
    """Make the files with the programs of a checkout, and pack them."""
    shutil.rmtree(MADE_AT, ignore_errors=True)
    MADE_AT.mkdir()

    def run(*arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
        subprocess.run([sys.executable, *arguments], cwd=MADE_AT, env=environment, check=True)

    def program(name: str, *arguments: str) -> None:
        run(str(checkout / name), *arguments)

    program("scripts/make_synthetic.py", "raw_path=raw", *_WORLD)
    program("scripts/preprocess_dataset.py", *DATASET, "raw_path=raw", "hardware.num_workers=0")
    run("-c", _STOP, *TRAINING)  # killed in its sixth step; saved was the fourth
    program("predict.py", *LABELLING, "save_dir=pseudo/train")
    program("val.py", *VALIDATION, "save_json=val.json")
    program("val_dst.py", *QUALITY, "save_json=val_dst.json")
    shutil.copytree(MADE_AT / "stopped", MADE_AT / "finished")
    program("train.py", *TRAINING, "output.dir=finished")
    run("-c", _EXPECTED)
    _pack()


def _pack() -> None:
    """Only names, links and bytes, so that the same files give the same archive."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(MADE_AT.rglob("*")):
            name = path.relative_to(MADE_AT).as_posix()
            if name.startswith("raw/") or name in _LEFT_OUT or path.name in _LEFT_OUT:
                continue
            if path.is_symlink() or path.is_file():
                member = archive.gettarinfo(path, name)
                member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
                archive.addfile(member, None if path.is_symlink() else io.BytesIO(path.read_bytes()))
    settings = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 2, "lp": 2, "pb": 2}
    with atomic_path(RELEASE) as temporary:
        temporary.write_bytes(lzma.compress(memory.getvalue(), filters=[settings]))


def expected(folder: Path) -> dict[str, str]:
    """What the release itself made of the stopped run, as ``everything`` of ``stopped_training`` tells it."""
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Pack files that a release wrote into tests/golden.")
    parser.add_argument("checkout", type=Path, metavar="CHECKOUT", help="of the release")
    make(parser.parse_args().checkout.resolve())
