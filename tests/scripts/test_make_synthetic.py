from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = ["world.height=48", "world.width=64", "world.duration_s=0.3", "world.num_train=1", "world.num_val=0"]


def run(folder, *overrides):
    command = [sys.executable, str(ROOT / "scripts" / "make_synthetic.py"), *SMALL, "world.num_test=0", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_command_writes_a_folder_goes_on_and_refuses_other_settings(tmp_path):
    first = run(tmp_path, "raw_path=raw", "num_workers=0", "preview=look.png")
    assert first.returncode == 0, first.stderr
    assert "wrote 1 recordings" in first.stderr
    assert "events per 50 ms" in first.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["look.png", "raw"]
    assert (tmp_path / "raw" / "train" / "train_0000_td.dat").is_file()
    other = run(tmp_path, "raw_path=raw", "num_workers=0", "world.sensor.threshold=0.3")
    assert other.returncode == 2
    assert "world.sensor.threshold: 0.3 instead of 0.18" in other.stderr
    assert "Traceback" not in other.stderr


def test_a_wrong_value_ends_with_status_2_and_names_the_key(tmp_path):
    result = run(tmp_path, "raw_path=raw", "world.label_rate_hz=3")
    assert result.returncode == 2
    assert "world.label_rate_hz" in result.stderr
    assert not (tmp_path / "raw").exists()
