"""Paths on the command line are taken as typed, and self_train.py hands them on so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from config.compose import compose
from config.given import leaves
from scripts.rounds.plan import build_plan
from scripts.rounds.settings import experiment_settings
from tests.helpers.commands import SMALL, failure, run
from tests.helpers.made_once import MadeOnce
from utils.commands.config_errors import CONFIG_DIR, explain
from utils.commands.kinds import compare_kinds
from utils.commands.path_overrides import PATH_KEYS, path_override, quote_paths
from utils.errors import UserError
from utils.settings import plain

NAMES = (
    *("a/epoch=3-step=10.ckpt", "run(1)", "a,b", "run#1", "x~1", "a[x]", "{a}", "a&b", "a!", "it's", 'a"b', "a b"),
    *(
        "a/数据",
        "20240102",
        "2024_01_02",
        "1e5",
        "0x10",
        "true",
        "nan",
        "None",
        "a%b",
        "a\\b",
        "a\\",
        "$x",
        "a:b",
        "'a",
    ),
)
WILD = "it's (1), a=b [x] {y} #2 &! 数据"


def as_read(*arguments: str, key: str = "output.dir") -> object:
    return OmegaConf.select(OmegaConf.create(compose(arguments)), key)


@pytest.mark.parametrize("value", ["[batch_size.train=2]", "[a.b=[1,2],model=x]", "a=b,c=d", "a=1"])
def test_a_list_of_overrides_is_answered_with_one_that_works(value: str) -> None:
    key = "supervised.overrides"
    wanted = {"[a.b=[1,2],model=x]": ["a.b=[1,2]", "model=x"], "a=b,c=d": ["a=b", "c=d"]}
    with pytest.raises(HydraException) as caught:
        unresolved("self_train", f"{key}={value}")
    (pasted,) = shlex.split(explain(caught.value, "self_train").fix)
    given = unresolved("self_train", pasted).supervised.overrides
    if isinstance(given, str):  # a text, for which the second message stands
        with pytest.raises(UserError) as second:
            compare_kinds({"overrides": []}, {"overrides": given}, "supervised.")
        (pasted,) = shlex.split(second.value.fix.removeprefix("give a list, e.g. "))
        given = unresolved("self_train", pasted).supervised.overrides
    assert given == wanted.get(value, [value.strip("[]")])


def unresolved(program: str, *overrides: str) -> DictConfig:
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose(program, overrides=list(overrides))


def test_every_name_is_taken_as_typed() -> None:
    for name in NAMES:
        parsed = OverridesParser.create().parse_override(*quote_paths([f"output.dir={name}"])).value()
        assert OmegaConf.to_container(OmegaConf.create({"dir": parsed}), resolve=True) == {"dir": name}
        assert quote_paths(quote_paths([f"output.dir={name}"])) == quote_paths([f"output.dir={name}"])


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("'a=b'", "a=b"),
        ('"it\'s"', "it's"),
        ("${output.root}/a=1", "./checkpoint/a=1"),
        ("null", None),
        ("~/data", str(Path("~/data").expanduser())),
        ("'~/data'", "~/data"),
    ],
)
def test_what_is_quoted_or_refers_to_something_keeps_its_meaning(typed: str, read: str | None) -> None:
    assert as_read(f"output.dir={typed}") == read


def test_a_sweep_parts_at_commas() -> None:
    assert quote_paths(["-m", "weight=a=1,'b,c',${x.y},d"]) == ["-m", "weight='a=1','b,c',${x.y},d"]
    assert quote_paths(["--multirun", "weight=glob(a*)"]) == ["--multirun", "weight=glob(a*)"]


def test_another_key_is_answered_with_the_quoted_form() -> None:
    with pytest.raises(UserError) as caught:
        compose(["wandb.group_name=a=b"])
    word = caught.value.fix
    assert as_read(*shlex.split(word), key="wandb.group_name") == "a=b"
    with pytest.raises(UserError, match="Hydra's grammar") as caught:
        compose(["wandb.group_name=a,b"])
    assert as_read(*shlex.split(caught.value.fix.split("; ")[1])[-1:], key="wandb.group_name") == "a,b"


def test_no_path_of_the_configuration_is_forgotten() -> None:
    keys = set()
    for name in sorted({file.stem for file in CONFIG_DIR.glob("*.yaml")} - {"general"}):
        keys |= {key for key, _ in leaves(OmegaConf.to_container(unresolved(name)), "")}
    named = re.compile(r"(.*[._])?(path|dir|file|root|scratch|json|picture|checkpoint|weight|preview|compare)")
    numbers = {"model.head.soft_label_weight", "model.backbone.attention.drop_path"}
    assert {key for key in keys if named.fullmatch(key)} - numbers <= set(PATH_KEYS)


def test_self_training_hands_paths_on(tmp_path: Path) -> None:
    data, root = tmp_path / WILD / "data", tmp_path / WILD / "rounds"
    overrides = [path_override("dataset_path", data), path_override("root", root), "experiment_name=synthetic/demo"]
    cfg = unresolved("self_train", *overrides)
    settings = plain(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "model"]))
    search = [f"hydra.searchpath=[file://{tmp_path}]"]
    plan = build_plan(experiment_settings(settings), Path.cwd(), search=search)
    for step in plan.steps:
        assert search[0] in step.command
    trained = compose(plan.steps[0].command[2:], "train")
    assert (trained["dataset"]["path"], trained["output"]["dir"]) == (str(data), str(root / "baseline"))


def test_a_command_with_such_paths(
    made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "2024_01_02").symlink_to(made_once.dataset(train=2))
    monkeypatch.chdir(tmp_path)
    steps = ("training.max_steps=1", "validation.limit_val_batches=1")
    assert run("train.py", *SMALL, "dataset.path=2024_01_02", f"output.dir={WILD}", *steps) == 0
    assert (tmp_path / WILD / "done.json").exists()
    missing = failure(capsys, "val.py", *SMALL, "dataset.path=2024_01_02", f"checkpoint={WILD}/none=1.ckpt")
    assert f"{WILD}/none=1.ckpt" in missing
