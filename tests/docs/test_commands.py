"""Every command that README and docs show is one that works: composed, parsed, or made by make."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import shlex
from pathlib import Path

import pytest

from tests.helpers.commands import REPOSITORY, run

ARGPARSE = (
    "scripts/visualize.py",
    "scripts/compare_runs.py",
    "scripts/compare_recordings.py",
    "scripts/export_onnx.py",
    "scripts/convert_checkpoint.py",
    "scripts/inspect_checkpoint.py",
    "scripts/ablation/",
    "scripts/drawings/house.py",
    "scripts/drawings/results.py",
    "scripts/formats_table/",
    "scripts/benchmark/",
    "scripts/pages/",
    "scripts/reports/",
    "scripts/soak/",
    "scripts/videos/",
)


def documented() -> list[str]:
    """Commands in the fenced blocks of README.md and docs/*.md, continued lines joined."""
    commands = []
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
        for block in (content for language, content in fences if language in ("", "bash", "sh")):
            lines = block.replace("\\\n", " ").splitlines()
            commands += [line.strip() for line in lines if re.match(r"\s*(python|make)\s", line)]
    return sorted({re.sub(r"\s+#.*$", "", re.sub(r"\s+", " ", command)) for command in commands})


@functools.cache
def help_of(script: str) -> str:
    """What a program says of its options."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert run(script, "--help") == 0
    return text.getvalue()


@pytest.mark.parametrize("command", documented())
def test_documented_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE)
        assert arguments[0] in targets
        return
    script, *arguments = arguments
    assert (REPOSITORY / script).is_file()
    capsys.readouterr()
    if script.startswith(ARGPARSE):
        # Options must exist; the command itself runs in the tests of the script.
        text = help_of(script)
        used = re.findall(r"(?<!\S)(--?[a-z][\w-]*)", " ".join(argument for argument in arguments))
        assert all(option in text for option in used), f"{used} against\n{text}"
        return
    if "--multirun" in arguments:
        # Hydra prints one job only: the first of the sweep.
        arguments = [re.sub(r"^([\w.]+=[^\[{,]*),.*$", r"\1", argument) for argument in arguments if argument[0] != "-"]
    if "--multirun" in arguments:  # Hydra shows the config of one run only: the first of the sweep
        single = [argument for argument in arguments if argument != "--multirun"]
        arguments = [re.sub(r"^([\w.]+=[^,\[{]+),.*$", r"\1", argument) for argument in single]
    assert run(script, *arguments, "--cfg", "job") == 0
    assert capsys.readouterr().out


AS_PUBLISHED = (
    'predict.py model=pseudo_labeler dataset=gen1x0.01_ss dataset.path=./datasets/gen1/ checkpoint="teacher.ckpt" '
    'hardware.gpus=0 +experiment/gen1="small.yaml" model.postprocess.confidence_threshold=0.01 tta.enable=True '
    "save_dir=./datasets/pseudo_gen1/gen1x0.01_ss-1round/train",
    "val_dst.py model=pseudo_labeler dataset=gen4x0.01_ss dataset.path=./datasets/pseudo_gen4/gen4x0.01_ss-1round "
    'checkpoint=1 +experiment/gen4="small.yaml" model.pseudo_label.obj_thresh=0.01 model.pseudo_label.cls_thresh=0.01',
    'val.py model=rnndet dataset=gen1 dataset.path=./datasets/gen1/ checkpoint="best.ckpt" use_test_set=1 '
    'hardware.gpus=0 hardware.num_workers.eval=8 +experiment/gen1="small.yaml" batch_size.eval=16 '
    "model.postprocess.confidence_threshold=0.001 reverse=False tta.enable=False",
)
"""Commands of LEOD's users; ours are shorter."""


@pytest.mark.parametrize("command", AS_PUBLISHED)
def test_published_command(command: str) -> None:
    script, *arguments = shlex.split(command)
    assert run(script, *arguments, "--cfg", "job") == 0


def test_pages_are_found() -> None:
    assert Path(REPOSITORY / "README.md").exists()
    assert any("predict.py" in command for command in documented())
