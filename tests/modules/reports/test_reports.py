"""Reports of folders that are made up: every kind has its sections, nothing is loaded from elsewhere."""

from __future__ import annotations

import json
import logging
import re

import numpy as np
import pytest
from PIL import Image

from modules.reports.evaluation import keep_figures
from modules.reports.log_columns import read_columns
from modules.reports.page import Section, mapping_table, render
from modules.reports.training import read_logs
from modules.reports.write import folder_beside, kind_of, leave_report, write_report
from utils.errors import UserError

RATES = {f"{rate}_{iou}": 0.5 for rate in ("precision", "recall", "f1") for iou in (25, 50, 75)}
ROW = {"labels": 3, "boxes": 4, **RATES}
AP = {f"{metric}{name}": 0.25 for metric in ("AP", "AP_50", "AP_75", "AP_S") for name in ("", "_car")}
QUALITY = {
    "classes": ["car"], "frames": 2, "labels": 3, "boxes": 4, "one_to_one": {"all": ROW, "car": ROW},
    "prophesee": {**AP, "AP_L": -1.0}, "steps": {"detections": {"one_to_one": {"all": ROW}}},
}  # fmt: skip
ARMS = {
    name: {"meaning": "few labels", "steps": 4, "val": {"AP": value, "AP_50": 0.5}}
    for name, value in (("baseline", 0.1), ("round1", 0.25))
}
ROUNDS = {
    "settings": {"seed": 3, "control": 1}, "splits": ["val"], "arms": ARMS, "pseudo_labels": {"round1": QUALITY},
    "decisions": {"round2": {"stop": True, "precision": 0.1, "precision_before": 0.2}}, "seconds": {"baseline": 1.5},
}  # fmt: skip


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def stands_alone(page):
    """Whether a page names no address but those of namespaces, and no file but those beside it."""
    text = re.sub(r'xmlns(:\w+)?="http://www\.w3\.org/[^"]*"', "", page)
    linked = re.findall(r'(?:src|href)="([^"]*)"', text)
    return "http" not in text and all(
        each.startswith(("#", "data:")) or each.endswith("report.html") for each in linked
    )


def made(folder, **files):
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    page = write_report(folder).read_text(encoding="utf-8")
    assert stands_alone(page)
    assert '<meta name="viewport"' in page
    return page


def test_training(tmp_path):
    logs = tmp_path / "logs" / "version_0"
    logs.mkdir(parents=True)
    (tmp_path / "config.yaml").write_text("dataset: {name: toy, classes: [car]}\ntraining: {max_steps: 4}\n")
    (logs / "metrics.csv").write_text(
        "epoch,lr-AdamW,step,train/loss,train/iou_loss,val/AP,val/AP_car,health/grad_head_max,health/c_stage1_max\n"
        ",0.001,0,,,,,,\n0,,0,3.5,1.5,,,,\n0,,1,nan,1.25,,,2.5,0.5\n0,,1,,,0.25,-1,,\n"
    )
    (logs / "perf.csv").write_text("step,perf/frames_per_s,perf/data_wait\n1,100,0.5\n")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("val_00000002_00", "val_00000004_00", "val_00000004_01", "train_00000004"):
        Image.new("RGB", (64, 48)).save(pictures / f"{name}.png")
    (pictures / "val_00000004_02.png").write_text("no picture")
    page = made(tmp_path, done={"steps": 4, "val/AP": 0.25})
    expected = ["What was run", "Result", "Loss", "Learning rate", "Validation", "Throughput", "Health"]
    assert headings(page) == [*expected, "Pictures of the last validation"]
    assert re.findall(r'alt="(.*?)"', page) == ["pictures/val_00000004_00.png", "pictures/val_00000004_01.png"]
    assert "Best quick AP 25.00 % at step 2." in page
    logged = read_logs(tmp_path)
    names = ("train/loss", "lr-AdamW", "health/grad_head_max", "health/c_stage1_max", "perf/frames_per_s")
    assert [logged[name][0].tolist() for name in names] == [[1, 2], [1], [2], [1], [1]]
    assert (tmp_path / "results.png").is_file()


def test_rounds_tell_each_step_before_and_after(tmp_path):
    (tmp_path / "evaluation" / "baseline_val").mkdir(parents=True)
    (tmp_path / "evaluation" / "baseline_val" / "report.html").touch()
    page = made(tmp_path, summary=ROUNDS)
    assert 'href="evaluation/baseline_val/report.html"' in page
    assert '<td class="c">round1</td><td class="n">10</td><td class="n">25</td><td class="n">15</td>' in page
    assert {"Detectors", "Each round, before and after", "round1: Steps of labelling", "Decisions"} < set(
        headings(page)
    )


def test_labelling_and_quality(tmp_path):
    page = made(tmp_path, summary={"sequences": 2, "missing": [], "frames": 4, "ground_truth": 1, "pseudo": 3})
    assert headings(page) == ["What was run", "Labels written"]
    scores = np.linspace(0, 1, 7, dtype=np.float32)
    np.savez(tmp_path / "boxes.npz", objectness=scores, class_confidence=scores, best_iou=scores)
    page = made(tmp_path, label_quality=QUALITY)
    assert headings(page)[1:] == [
        "Pseudo labels against the hidden labels", "Steps of labelling", "Prophesee protocol", "Scores",
    ]  # fmt: skip


def test_evaluation_without_a_labelled_frame(tmp_path):
    result = {"figures": {"AP": 0.0}, "labels": {"car": 0}, "classes": ["car"], "score": "class"}
    assert "there are no curves" in made(tmp_path, evaluation=result)


def test_a_task_says_which_settings_are_told_first(tmp_path):
    config = {"logging": {"report": True}, "tta": {"enable": False}, "model": {"tiles": {"side": 96}}}
    result = {"figures": {"PSNR": 30.0}, "labels": {}}
    leave_report(tmp_path, "val", config, 1.0, lambda at: keep_figures(at, result), ("model.tiles.side",))
    first, *_ = (tmp_path / "report.html").read_text(encoding="utf-8").split("</table>")
    assert "model.tiles.side" in first
    assert "tta.enable" not in first


def test_logs_of_a_run_that_went_on(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("step,a,b\n3,1,\n2,5,oops\nx,9,9\n3,2,7\n")
    steps, values = read_columns(file)["a"]
    assert (steps.tolist(), values.tolist()) == ([2, 3], [5, 2])
    assert read_columns(file)["b"][1].tolist() == [7]
    assert read_columns(tmp_path / "none.csv") == {}


def test_text_is_text():
    page = render("<script>", [Section("a&b", [mapping_table({"<i>": "</td>"}), "<b>"])])
    assert not {"<script>", "<i>", "<b>"} & set(re.findall(r"<\w+>", page))


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(UserError, match="none of their files"):
        kind_of(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        kind_of(tmp_path / "none")


def test_a_report_that_fails_is_one_warning(tmp_path, caplog):
    (tmp_path / "summary.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        leave_report(tmp_path, "predict", {"logging": {"report": True}}, 1.0)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "no report" in record.message
    assert "no JSON" in record.message
    leave_report(tmp_path / "off", "predict", {"logging": {"report": False}}, 1.0)
    assert not (tmp_path / "off").exists()


def test_where_evaluations_leave_theirs(tmp_path):
    assert folder_beside(str(tmp_path / "a.json"), tmp_path) == tmp_path / "a"
    assert folder_beside(str(tmp_path / "a"), tmp_path) == tmp_path / "a_report"
    assert folder_beside(None, tmp_path) == tmp_path
