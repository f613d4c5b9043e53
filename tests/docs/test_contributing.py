"""The door for developers: what CONTRIBUTING.md, CITATION.cff, the hooks and the workflow name is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

import tests.docs.test_commands as pages
from tests.helpers.commands import REPOSITORY


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def parsed(name: str) -> Any:
    return yaml.safe_load(read(name))


PAGE = read("CONTRIBUTING.md")
"""For developers; the commands of tests/README.md are theirs, too."""
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE + read("tests/README.md"), flags=re.DOTALL | re.MULTILINE)
COMMANDS = [re.sub(r"\s+#.*$", "", line) for block in BLOCKS for line in block.splitlines()]
QUOTED = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", PAGE, flags=re.DOTALL | re.MULTILINE))
PLACEHOLDER = re.compile(r"NAME|VERSION|[=*() ]")


def rule(target: str) -> list[str]:
    """Commands of a target of the Makefile."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", read("Makefile"), flags=re.MULTILINE)
    assert recipe, f"no target {target}"
    return [line.strip().replace("$(ENV)", ".venv") for line in recipe.group(1).splitlines()]


@pytest.mark.parametrize("command", [c for c in COMMANDS if re.match(r"(\w+=\w+ )?(python|make) ", c)])
def test_commands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in shlex.split(command) if not re.match(r"MISTAKES=", word)]
    if words[:3] == ["python", "-m", "pytest"]:
        assert all((REPOSITORY / file).is_file() for file in words[3:])
    else:
        pages.test_documented_command(command, capsys)


def test_paths() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE + read("CHANGELOG.md") + read("README.md"))
    names = [name for name in QUOTED + re.findall(r"`([^`\n]+)`", read("CHANGELOG.md")) if not PLACEHOLDER.search(name)]
    named = [name for name in names if "/" in name or re.search(r"\.(md|cff|toml|lock|py|yaml)$", name)]
    assert len(named) > 25
    missing = [name for name in links + named if not (REPOSITORY / name).exists()]
    assert not missing, missing


def test_make_targets() -> None:
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), flags=re.MULTILINE)
    quoted = QUOTED + re.findall(r"`([^`\n]+)`", read("README.md"))
    words = [w for text in [*quoted, *COMMANDS] if text.startswith("make ") for w in text.split()[1:] if "=" not in w]
    assert {"env", "test", "test-fast", "soak", "lint"} <= set(words)
    assert not set(words) - set(targets), "not in the Makefile"


def test_hooks_are_the_linters() -> None:
    (local,) = parsed(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == rule("lint")
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        assert not hook["pass_filenames"], "the linters choose their files"


def test_the_workflow_is_what_ci_runs() -> None:
    workflow = parsed(".github/workflows/ci.yml")
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML reads the key "on" as true
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"] == 90
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)


def test_citation() -> None:
    citation = parsed("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert str(citation["cff-version"]) == "1.2.0"
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    works = {reference["title"]: reference for reference in citation["references"]}
    for name, family, year in (
        ("LEOD", "Wu", 2024),
        ("Recurrent", "Gehrig", 2023),
        ("YOLOX", "Ge", 2021),
        ("MaxViT", "Tu", 2022),
    ):
        (work,) = (work for title, work in works.items() if title.startswith(name))
        assert {"type", "title", "authors"} <= set(work)
        assert (work["authors"][0]["family-names"], work["year"]) == (family, year)


def test_versions_agree() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    citation = parsed("CITATION.cff")
    assert str(citation["version"]) == version
    assert f"## [{version}] - {citation['date-released']}\n" in read("CHANGELOG.md")
    assert "## [Unreleased]\n" in read("CHANGELOG.md")
