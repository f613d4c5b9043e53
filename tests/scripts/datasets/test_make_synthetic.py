from __future__ import annotations

import pytest

from tests.helpers.commands import failure, run

PROGRAM = "scripts/make_synthetic.py"
SMALL = ("world.height=48", "world.width=64", "world.duration_s=0.3", "world.num_train=1", "world.num_val=0",
         "world.num_test=0", "raw_path=raw")  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_command_writes_a_folder_goes_on_and_refuses_other_settings(tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    assert run(PROGRAM, *SMALL, "num_workers=0", "preview=look.png") == 0
    assert "wrote 1 recordings" in caplog.text
    assert "events per 50 ms" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["look.png", "raw"]
    assert (tmp_path / "raw" / "train" / "train_0000_td.dat").is_file()
    other = failure(capsys, PROGRAM, *SMALL, "num_workers=0", "world.sensor.threshold=0.3")
    assert "world.sensor.threshold: 0.3 instead of 0.18" in other


def test_a_wrong_value_ends_with_status_2_and_names_the_key(tmp_path, capsys):
    assert "world.label_rate_hz" in failure(capsys, PROGRAM, *SMALL, "world.label_rate_hz=3")
    assert not (tmp_path / "raw").exists()
