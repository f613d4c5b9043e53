"""Settings every test shares: one thread, no network loggers, who runs what when several workers share the tests."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import pickle
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from _pytest.doctest import DoctestModule
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.helpers.bad_inputs import PAGE_AND_SOURCES
from tests.helpers.browser.chromium import find_browser
from tests.helpers.commands import REPOSITORY, SMALL, run
from tests.helpers.slurm.slurm_cluster import missing_programs

if TYPE_CHECKING:  # imported where they are used: the process that gives tests to workers needs none of the libraries
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.plugins.config_source import ConfigResult, ConfigSource

    from tests.helpers.made_once import MadeOnce
    from tests.helpers.warm_python import WarmPython

# The same examples in every run; HYPOTHESIS_PROFILE=default looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

NEEDED = {"slurm": "LEOD_TESTS_NEED_SLURM", "browser": "LEOD_TESTS_NEED_BROWSER"}
"""Environment variables by marker: with them tests of real SLURM jobs, and of pages in a real browser, fail rather than
being left out where there is none."""

ROOMS = ("slurm", "scripts", "modules", "models", "data", "utils", "config", "docs")
"""Long tests first, so that no worker is left alone with one at the end; a page of docs after what it is made of."""

TOGETHER = {
    "bad inputs": PAGE_AND_SOURCES,
    "golden dataset": ("test_golden_end_to_end.py", "test_make_splits.py", "test_preprocessing_verify.py"),
    "onnx": ("test_export_onnx.py", "test_engines.py", "test_train_own_model.py"),
}
"""Files that one worker takes: what they share takes seconds, and is made or loaded in each process."""

GIB_OF_A_WORKER = 3

COMMANDS = ("tests.helpers.commands", "tests.helpers.stopped_training", "tests.helpers.forked_processes")
"""Helpers that run whole commands: a file that uses a function of theirs holds no unit tests."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make torch ready in a process that runs tests."""
    if session.config.getoption("numprocesses", None):
        return
    import torch

    torch.set_num_threads(1)
    # The first backward pass decides whether processes forked later can make one; torch.export, which some tests use,
    # would let it start threads.
    torch.ones(1, requires_grad=True).sum().backward()

    import cv2

    # Set later, in a process that is forked from one whose threads have worked, it waits for them for ever.
    cv2.setNumThreads(1)

    from hydra._internal.hydra import Hydra

    # Asked for its mode, Hydra composes the whole configuration once more, for a key (hydra.mode) that we never set.
    Hydra.get_mode = lambda *arguments, **more: None
    _parse_configs_once()
    _parse_texts_once()


def _parse_configs_once() -> None:
    """Let Hydra keep what it parsed from a file of ours, as long as the file stays: a third of each composition."""
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.plugins import Plugins

    Plugins.instance()  # loads the module of the class again, whoever had it
    files = SourcesRegistry.instance().resolve("file")
    load = files.load_config
    kept: dict[tuple[object, ...], bytes] = {}

    def load_config(source: ConfigSource, config_path: str) -> ConfigResult:
        file = Path(source.path, source._normalize_file_name(config_path)).resolve()
        if not file.is_relative_to(REPOSITORY / "config"):
            return load(source, config_path)
        of = file.stat()
        key = (source.provider, source.path, config_path, of.st_ino, of.st_size, of.st_mtime_ns)
        if key not in kept:
            kept[key] = pickle.dumps(load(source, config_path))
        return pickle.loads(kept[key])  # who composes changes it

    files.load_config = load_config


def _parse_texts_once() -> None:
    """Let interpolations and overrides be parsed once for each text: another tenth of each composition."""
    import omegaconf._utils
    import omegaconf.base
    from hydra.core.override_parser import overrides_parser as of_hydra

    omegaconf.base.parse = omegaconf._utils.parse = functools.cache(omegaconf.base.parse)
    parse = of_hydra.OverridesParser.parse_rule
    kept: dict[tuple[str, str], bytes] = {}

    def parse_rule(parser: OverridesParser, text: str, rule: str) -> Any:
        if (text, rule) not in kept:
            kept[text, rule] = pickle.dumps(parse(parser, text, rule))
        return pickle.loads(kept[text, rule])  # who asks for it changes it

    of_hydra.OverridesParser.parse_rule = parse_rule


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker for each core that this process may use, one more for what waits, but no more than fit the memory."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(cores + 1, int(memory / GIB_OF_A_WORKER)))


def room_of(item: pytest.Item) -> int:
    """Place in ROOMS of the folder of tests that an item is from; doctests come last."""
    room = item.nodeid.removeprefix("tests/").partition("/")[0]
    return ROOMS.index(room) if item.nodeid.startswith("tests/") and room in ROOMS else len(ROOMS)


def lacking() -> dict[str, list[str]]:
    """Programs that this machine lacks by the marker of the tests that are left out for it."""
    missing = {"slurm": list(missing_programs()), "browser": [] if find_browser() else ["chromium"]}
    return {mark: programs for mark, programs in missing.items() if programs and not os.environ.get(NEEDED[mark])}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs programs that this machine lacks; mark what runs whole commands."""
    for mark in lacking():
        left_out = [item for item in items if item.get_closest_marker(mark)]
        items[:] = [item for item in items if not item.get_closest_marker(mark)]
        config.hook.pytest_deselected(items=left_out)
    for item in items:
        if any(getattr(value, "__module__", "") in COMMANDS for value in vars(getattr(item, "module", item)).values()):
            item.add_marker(pytest.mark.command)
    if not config.pluginmanager.has_plugin("randomly"):
        items.sort(key=room_of)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave alone, in every search for garbage from here on, what stays to the end: libraries and the tests themselves.

    The search would take half a second each time, and in each forked process copy the memory it looks at.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # later than pytest, which searches several times at its end


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for no examples in the docstrings of tests: there are none, and it takes as long as to find the tests."""
    return [found for found in (yield) if not isinstance(found, DoctestModule)]


class Scheduling(LoadFileScheduling):
    """A file stays with one worker, as do all tests of SLURM, which share a cluster, and files that are named above.

    Not by ``xdist_group``: with pytest 9.2, xdist 3.8 forgets these marks without a word.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith("tests/slurm/"):
            return "slurm"
        return next((name for name, files in TOGETHER.items() if file.endswith(files)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """How the tests are given to the workers."""
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeOnce]:
    """Data and detectors that all workers share, for reading."""
    from tests.helpers.made_once import MadeOnce, shared_folder

    made = MadeOnce(shared_folder(tmp_path_factory))
    yield made
    made.check()


@pytest.fixture(scope="session")
def warm(made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is loaded at the first use is loaded, once for all processes that are forked from this one."""
    own = (f"dataset.path={made_once.dataset(train=1)}", f"output.dir={tmp_path_factory.mktemp('warm')}")
    assert run("train.py", *SMALL, *own, "training.max_steps=1") == 0

    from modules.tracking.linear import LinearTracker

    LinearTracker((1, 1)).track([], [])  # loads what numba compiled


@pytest.fixture(scope="session")
def warm_python(warm: None) -> Iterator[WarmPython]:
    """A Python for other programs to start, without the seconds that a start takes."""
    from tests.helpers.warm_python import WarmPython

    with WarmPython() as python:
        yield python


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests of real SLURM jobs that passed, which dots do not, or say that they were left out."""
    passed = [report.nodeid for report in terminalreporter.stats.get("passed", []) if "slurm" in report.keywords]
    if passed:
        terminalreporter.section("real SLURM jobs")
        for name in passed:
            terminalreporter.write_line(f"passed {name}")
    for mark, programs in lacking().items():
        terminalreporter.write_line(f"tests marked {mark} are left out: no {', '.join(programs)} here")
