"""Write docs/CONFIGURATION.md, the table of all keys, from the comments in config: run it after a change there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from scripts import make_parser
from scripts.pages.config_files import ConfigFile, Key, read_config_file
from utils.atomic import write_text
from utils.commands.cli import run_command
from utils.tables import table

PAGE = REPOSITORY / "docs" / "CONFIGURATION.md"
FIRST = (
    "general",
    "training/default",
    "hardware/default",
    "logging/default",
    "run_folder/default",
    "dataset/_base",
    "augmentation/random",
    "augmentation/stream",
    "model/rnndet",
    "model/_labeller",
    "model/rnndet-timm",
    "train",
    "predict",
    "val_dst",
    "val",
    "self_train",
    "preprocess",
)
"""Files in the order of the page; the others follow by name."""

INTRO = """# Configuration reference

Every key with its default, made of the comments in `config` by `python scripts/pages/configuration.py`. A key is given
as it stands here: `python train.py training.max_steps=1000`. Text with blanks or commas needs quotes, and a key that no
file has yet a `+` before it. `--cfg job` after a command prints what it would run with.

Paths are taken as they are typed, whatever Hydra makes of their characters: `checkpoint=epoch=3-step=10.ckpt`,
`dataset.path=2024_01_02`, `output.dir="runs/it's (1)"` (what the shell itself would read still needs quotes). `~/` is
the home folder, `null` is none, `${...}` refers to another key, and with `--multirun` a comma parts two paths. Another
key with such characters is answered with the form to paste.

In the column of defaults, "given" means that there is none, "derived" that it follows from other keys, and "as" that it
is the value of another key. [Presets](#presets), at the end, are files that set several keys at once.
"""


def read_all(root: Path) -> list[ConfigFile]:
    """All files of ``config`` in the order of the page."""
    files = [read_config_file(path, root) for path in root.rglob("*.yaml")]
    return sorted(files, key=lambda file: (FIRST.index(file.name) if file.name in FIRST else len(FIRST), file.name))


def page(root: Path = REPOSITORY / "config") -> str:
    """The page, in Markdown."""
    files = read_all(root)
    # A key of a group is told once, where it comes first; a file that explains none is a preset.
    known: set[str] = set()
    presets: list[ConfigFile] = []
    lines = [INTRO]
    for file in files:
        own = [key for key in file.keys if key.text and (not file.folder or key.name not in known)]
        known |= {key.name for key in file.keys}
        if file.folder and not own:
            presets.append(file)
            continue
        lines += [f"## config/{file.name}.yaml", "", _words(file.head.rstrip(".")) + ".", ""]
        if own:
            lines += [*table(["key", "default", "what"], [_row(key) for key in own]), ""]
        else:
            lines += ["It adds no key of its own.", ""]
    return "\n".join([*lines, *_presets(presets, chosen={group for file in files for group in file.groups})])


def _row(key: Key) -> tuple[str, str, str]:
    return f"`{key.name}`", "" if key.default is None else _default(key), _words(key.text)


def _default(key: Key) -> str:
    if key.default == "???":
        return "given"
    if key.default.startswith("${derive."):  # type: ignore[union-attr]
        return "derived"
    if other := re.fullmatch(r"\$\{(\.*)([\w.]+)\}", key.default or ""):
        dots, name = other.groups()
        place = key.name.split(".")[: -len(dots)] if dots else []
        return f"as `{'.'.join([*place, name])}`"
    return f"`{key.default}`"


def _words(text: str) -> str:
    """A comment as Markdown: nothing in it is markup, and pages that it names are links."""
    text = text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return re.sub(r"\bdocs/(\w+\.md)", r"[\1](\1)", text)


def _presets(files: Iterable[ConfigFile], chosen: set[str]) -> list[str]:
    """A table for each group: which files there are, and what each of them sets."""
    lines = ["## Presets", ""]
    lines += [
        "Datasets of pseudo labels, `NAME-1round` and `NAME-2round`, are as their `NAME`, in a folder of their own.",
        "",
    ]
    groups: dict[str, list[ConfigFile]] = {}
    for file in files:
        if not re.search(r"-\dround$", file.name):
            groups.setdefault(file.folder, []).append(file)
    for group, members in sorted(groups.items()):
        plus = "" if group in chosen or group.startswith("hydra") else "+"
        heads = [f"`{plus}{group}=`", "what it is", "what it sets"]
        rows = [(f"`{file.name.rpartition('/')[2]}`", _words(file.head), _sets(file)) for file in members]
        lines += [f"### {group}", "", *table(heads, rows), ""]
    return lines


def _sets(file: ConfigFile) -> str:
    common = f"{file.folder.replace('/', '.')}."
    own = [key for key in file.keys if key.default is not None and key.name != f"{common}name"]
    told = [(key.name.removeprefix(common), re.sub(r"^\$\{derive\..*", "derived", key.default or "")) for key in own]
    return ", ".join(f"`{name}={default}`" for name, default in told).replace("|", "\\|")


def main() -> None:
    """Write the page."""
    make_parser(__file__, __doc__).parse_args()
    write_text(PAGE, page())


if __name__ == "__main__":
    run_command(main)
