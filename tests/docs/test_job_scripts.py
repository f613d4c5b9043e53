"""Job scripts are valid, plain, and what the pages show of them works."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.helpers.commands import REPOSITORY, run

SCRIPTS = sorted((REPOSITORY / "scripts" / "slurm").iterdir())
PROGRAMS = {
    "train": "train.py",
    "predict": "predict.py",
    "self_train": "scripts/self_train.py",
    "preprocess": "scripts/preprocess_dataset.py",
}


def shown() -> list[str]:
    """Commands of README.md and docs that begin with sbatch."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    return sorted({line for page in pages for line in re.findall(r"^sbatch .*$", page.read_text(), flags=re.MULTILINE)})


@pytest.mark.parametrize("command", shown())
def test_documented_job(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("USER", "me")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    parts = shlex.split(command)[1:]
    script = next(part for part in parts if not part.startswith("--"))
    assert (REPOSITORY / script).is_file()
    arguments = parts[parts.index(script) + 1 :]
    assert run(PROGRAMS[Path(script).stem], *arguments, "--cfg", "job") == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_valid(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert not re.search(r"\brm\s", script.read_text())
    if script.stem in PROGRAMS:
        text = script.read_text()
        assert f'run_tasks "$PYTHON" {PROGRAMS[script.stem]} "$@"' in text
        for option in ("--requeue", "--signal=USR1@", "--open-mode=append", "--ntasks-per-node=1", "--nodes=1"):
            assert f"\n#SBATCH {option}" in text
