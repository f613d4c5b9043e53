"""docs/MISTAKES.md lists all bad inputs that the tests make, with the message that each one gives.

It runs after the modules that it is made of, so that in a run of all tests no case runs twice. After a change of cases
or messages: ``MISTAKES=write python -m pytest tests/docs/test_mistakes_page.py``.
"""

from __future__ import annotations

import importlib
import os
import re
import textwrap
from pathlib import Path

import pytest

from data.events.open import open_recording
from tests.data.events.test_bad_recordings import BAD, SENSOR
from tests.helpers.bad_inputs import MESSAGES, SOURCES, BadInput, check
from tests.helpers.commands import REPOSITORY
from utils.errors import UserError

PAGE = REPOSITORY / "docs" / "MISTAKES.md"

HEADINGS = {
    "recordings": ("Recordings", "Files of events, which any command may read."),
    "preprocessing": ("Preprocessing", "`scripts/preprocess_dataset.py`, with recordings, boxes and folders."),
    "datasets": ("Datasets", "`scripts/inspect_dataset.py`, with folders that are preprocessed."),
    "settings": ("Commands and settings", "What stands on the command line or in a file of settings."),
}

INTRO = """# What goes wrong, and what you are told

Every mistake in a file, a dataset or a command gives one message that says what was expected, what was got instead,
where, and what to do; the exit status is 2. None of them hangs, and none leaves a half-written file or dataset behind.
The {count} bad inputs below are made by the tests, which keep this page in step with the programs. Each message stands
as the program prints it, long lines wrapped; `...` is the folder in which the bad thing lies.
"""


def bad_recording(name: str, content: bytes) -> BadInput:
    """A row of ``tests.data.events.test_bad_recordings``, which has its own test of what each message says."""

    def act(folder: Path) -> None:
        path = folder / "in" / "recording"
        path.parent.mkdir()
        path.write_bytes(content)
        open_recording(path, SENSOR)

    return BadInput("recordings", name, act, expect=())


def all_cases() -> list[BadInput]:
    recordings = [bad_recording(name, content) for name, content, _ in BAD]
    return recordings + [case for source in SOURCES for case in importlib.import_module(source).CASES]


def told(name: str, text: str) -> str:
    """A line of a message, wrapped; figures that hang on the version of a library are left out."""
    text = re.sub(r"(eof|size|addr|offset|address) = (0x)?[0-9a-f]+", r"\1 = ...", " ".join(text.split()))
    indents = {"initial_indent": f"{name}:".ljust(10), "subsequent_indent": " " * 10}
    return textwrap.fill(text, width=100, break_long_words=False, break_on_hyphens=False, **indents)


def entry(case: BadInput, error: UserError) -> list[str]:
    parts = {"expected": error.expected, "got": error.got, "where": error.where, "fix": error.fix}
    return [f"### {case.name}", "", "```text", *(told(name, text) for name, text in parts.items()), "```", ""]


def page(messages: dict[BadInput, UserError]) -> str:
    groups = {group: [case for case in messages if case.group == group] for group in HEADINGS}
    anchors = {title: title.lower().replace(" ", "-") for title, _ in HEADINGS.values()}
    lines = [INTRO.format(count=len(messages))]
    lines += [
        f"- [{HEADINGS[group][0]}](#{anchors[HEADINGS[group][0]]}): {len(mine)}" for group, mine in groups.items()
    ]
    for group, mine in groups.items():
        title, words = HEADINGS[group]
        lines += ["", f"## {title}", "", words, ""]
        lines += [line for case in mine for line in entry(case, messages[case])][:-1]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[BadInput, UserError]:
    """What every case says; those that ran in this process already are not run again."""
    found = {}
    for case in all_cases():
        found[case] = MESSAGES.get(str(case)) or check(case, tmp_path_factory.mktemp("bad"))
    return found


def test_the_page_says_what_the_programs_say(messages: dict[BadInput, UserError]) -> None:
    text = page(messages)
    if os.environ.get("MISTAKES") == "write":
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, f"bring it in step: {__doc__}"


def test_there_are_many_and_each_is_there_once(messages: dict[BadInput, UserError]) -> None:
    assert len(messages) >= 40
    assert len({str(case) for case in messages}) == len(messages)
    assert not [case.name for case, error in messages.items() if len(str(error)) > 1200]


def test_no_path_of_this_machine_is_on_the_page(messages: dict[BadInput, UserError]) -> None:
    text = page(messages)
    assert str(REPOSITORY) not in text
    assert str(Path.home()) not in text
    assert "/tmp" not in text
