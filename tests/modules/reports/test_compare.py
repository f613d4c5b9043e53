"""Runs of all kinds side by side."""

from __future__ import annotations

import json
import re

import pytest

from modules.checkpoints.names import CHANGES
from modules.reports.compare import compare, differing_settings
from modules.reports.evaluation import evaluation_sections
from modules.reports.page import render, table_text
from modules.reports.training import training_sections
from scripts import compare_runs
from tests.helpers.commands import call
from tests.modules.reports.test_reports import QUALITY, ROUNDS, headings, stands_alone
from tests.utils.test_intervals import one_label_each
from utils.errors import UserError
from utils.evaluation.intervals import intervals


@pytest.fixture
def runs(tmp_path):
    """Two trainings, an evaluation, the quality of labels, a labelling, and rounds."""
    for name, rate, loss in (("a", 0.1, 3), ("b", 0.2, 4)):
        logs = tmp_path / name / "run" / "logs" / "version_0"
        logs.mkdir(parents=True)
        (tmp_path / name / "run" / "config.yaml").write_text(f"training: {{learning_rate: {rate}, max_steps: 4}}\n")
        (tmp_path / name / "run" / "done.json").write_text('{"steps": 4}')
        (logs / "metrics.csv").write_text(f"step,train/loss,val/AP\n1,{loss},\n2,{loss - 1},0.25\n")
        (logs / "perf.csv").write_text("step,perf/frames_per_s\n1,10\n")
    figures = {"figures": {"AP": 0.5, "AP_car": -1.0}, "labels": {"car": 1}, "classes": ["car"], "score": "class"}
    kinds = {"evaluation": figures, "label_quality": QUALITY, "summary": {"frames": 7, "missing": []}, "rounds": ROUNDS}
    for name, value in kinds.items():
        (tmp_path / name).mkdir()
        file = "summary" if name == "rounds" else name
        (tmp_path / name / f"{file}.json").write_text(json.dumps(value))
    return [tmp_path / name for name in ("a/run", "b/run", *kinds)]


def test_all_kinds(runs):
    sections = compare(runs)
    text = table_text(sections)
    assert "| figure | a/run | b/run | tmp" not in text
    assert "| best quick AP | 25 | 25 | – | – | – | – |" in text
    assert "| at step | 3 | 3 |" in text
    assert "| training.learning_rate | 0.1 | 0.2 | – | – | – | – |" in text
    assert "training.max_steps" not in table_text(compare(runs[:2]))
    page = render("all", sections)
    assert stands_alone(page)
    assert headings(page) == ["Figures", "Differing settings", "Curves"]
    captions = ["train/loss", "val/AP", "perf/frames_per_s", "AP by class", "AP of the detectors on val"]
    assert all(f"<figcaption>{caption}</figcaption>" in page for caption in captions)


def test_evaluations_do_not_tell_what_only_trainings_read(tmp_path):
    figures = {"figures": {"AP": 0.5}, "labels": {"car": 1}, "classes": ["car"], "score": "class"}
    for name, steps, device in (("a", 4, "CPU"), ("b", 5, "CPU"), ("gpu", 6, "H200")):
        folder = tmp_path / name / "evaluation_val"
        folder.mkdir(parents=True)
        config = {"training": {"max_steps": steps, "precision": str(steps)}, "tta": {"enable": name == "b"}}
        (folder / "evaluation.json").write_text(json.dumps(figures))
        (folder / "run.json").write_text(json.dumps({"config": config, "starts": [{"device": device}]}))
    folders = sorted(tmp_path.glob("*/*"))
    text = table_text(compare(folders))
    assert "| setting | a/evaluation_val | b/evaluation_val | gpu/evaluation_val |" in text
    assert "| tta.enable | false | true | false |" in text
    assert "max_steps" not in text
    assert "precision" not in table_text(compare(folders[:2]))
    assert compare(folders[:1])[0].blocks[0].heads == ("figure", "a/evaluation_val")


def test_differences_by_recordings(tmp_path):
    folders = []
    for name, right in (("a", [1, 0, 0] * 4), ("b", [1, 1, 0] * 4), ("few", [1, 0, 0]), ("none", None)):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        figures = {"figures": {"AP": 0.5}, "labels": {"car": 1}, "classes": ["car"], "score": "class"}
        if right is not None:
            recordings = one_label_each(right)
            recordings.save(folders[-1] / "recordings.npz")
            figures["intervals"] = intervals(recordings)
        (folders[-1] / "evaluation.json").write_text(json.dumps(figures))
    (section,) = [each for each in compare(folders) if each.title.startswith("Differences")]
    (table,) = section.blocks
    pair, name, value, low, high = table.rows[0]
    assert (pair, name, value) == ("b − a", "AP", pytest.approx(33.3, abs=1))
    assert 0 < low < value < high < 67
    assert section.title == "Differences by resampling 12 recordings"
    assert table.rows[-1] == ("few − a", "they are not of the same recordings", None, None, None)
    page = render("one", evaluation_sections(folders[0]))
    assert "by resampling 12 recordings (1000 times, 95 %): AP 50.0 [" in page
    assert not [each for each in compare(folders[2:]) if each.title.startswith("Differences")]


def test_settings_that_differ():
    settings = {"a": {"x": 1, "y": 2, "output.dir": "a"}, "b": {"x": 1, "y": 3, "z": 4, "output.dir": "b"}, "c": {}}
    assert differing_settings(settings) == {"a": {"y": "2"}, "b": {"y": "3"}, "c": {"y": "–"}}


def test_command(runs, tmp_path, capsys):
    page, tables = tmp_path / "page.html", tmp_path / "tables.md"
    arguments = (*map(str, runs[:2]), "--html", str(page), "--output", str(tables))
    assert call(compare_runs.main, "compare_runs.py", *arguments) == 0
    assert "a/run" in page.read_text(encoding="utf-8")
    assert "| last loss | 2 | 3 |" in tables.read_text(encoding="utf-8")
    with pytest.raises(UserError, match="none of their files"):
        call(compare_runs.main, "compare_runs.py", str(tmp_path))


def test_a_file_of_others_is_not_written_over(runs, tmp_path):
    other = tmp_path / "last.ckpt"
    for option in ("--output", "--html"):
        arguments = (*map(str, runs[:2]), option, str(other))
        assert call(compare_runs.main, "compare_runs.py", *arguments) == 0
        assert call(compare_runs.main, "compare_runs.py", *arguments) == 0  # it is its own
        other.write_text("weights")
        with pytest.raises(UserError, match=f"{option}=.*last.ckpt"):
            call(compare_runs.main, "compare_runs.py", *arguments)
        assert other.read_text() == "weights"
        other.unlink()


def test_rounds_of_other_settings_are_compared_as_any_runs(runs, capsys):
    other = runs[-1].with_name("other")
    other.mkdir()
    (other / "summary.json").write_text(json.dumps({**ROUNDS, "settings": {"seed": 4, "control": 2}}))
    assert call(compare_runs.main, "compare_runs.py", str(runs[-1]), str(other)) == 0
    assert "| control | 1 | 2 |" in capsys.readouterr().out


def test_settings_that_are_not_known_are_no_equal_settings(runs):
    assert re.search(r"Not known of evaluation, \S*label_quality", table_text(compare(runs[2:4])))
    assert "Not known" not in table_text(compare(runs[:2]))


DAMAGED = [
    *[("a/run/done.json", text) for text in ("{}", "[1", "null", '{"steps": "x"}')],
    *[("a/run/config.yaml", text) for text in ("- 1", "a: [", "\x00")],
    *[("a/run/logs/version_0/metrics.csv", text) for text in ("some words\n", "step,a\nx,y\n", "a,b\n1,2\n")],
    ("a/run/logs/version_0/perf.csv", '"step",a\n' + "9" * 200_000),
    *[("evaluation/evaluation.json", text) for text in ("{}", '{"figures": {"AP": "x"}}')],
    ("evaluation/matches.npz", "PK"),
    *[("label_quality/label_quality.json", text) for text in ("{}", json.dumps({**QUALITY, "prophesee": {}}))],
    ("rounds/summary.json", json.dumps({**ROUNDS, "splits": ["val", "test"]})),
    ("rounds/summary.json", json.dumps({**ROUNDS, "pseudo_labels": {"round1": {}}})),
    ("summary/summary.json", "[]"),
]


@pytest.mark.parametrize(("name", "text"), DAMAGED)
def test_damaged_files(runs, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    folder = next(run for run in runs if run in (tmp_path / name).parents)
    with pytest.raises(UserError) as told:
        compare([folder])
    assert told.value.where == str(tmp_path / name)


def test_a_changed_setting_that_cannot_be_read(runs):
    (runs[0] / CHANGES).write_text('[{"from_step": 1}]')
    with pytest.raises(UserError, match="changed is missing"):
        training_sections(runs[0], ())
