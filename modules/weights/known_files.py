"""Weight files that authors offer for download: what they are called, how good they say they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KnownFile:
    """A published file.

    Args:
        authors: name of their program.
        name: of the file; of RVT's the folder belongs to it, since both datasets have files of the same name.
        md5: how its checksum begins, if the authors tell it.
        dataset: config it is evaluated with.
        preset: of ``+experiment/<dataset>``.
        test_ap: mAP on the test split in per cent, as the authors state it; None if they do not.
    """

    authors: str
    name: str
    md5: str
    dataset: str
    preset: str
    test_ap: float | None

    def command(self, path: Path | str) -> str:
        """The command that evaluates it."""
        preset = f"+experiment/{self.dataset}={self.preset}"
        return f"python val.py dataset={self.dataset} {preset} checkpoint={path} use_test_set=1"


KNOWN = (
    KnownFile("RVT", "gen1/rvt-b.ckpt", "839317", "gen1", "base", 47.2),
    KnownFile("RVT", "gen1/rvt-s.ckpt", "840f2b", "gen1", "small", 46.5),
    KnownFile("RVT", "gen1/rvt-t.ckpt", "a770b9", "gen1", "tiny", 44.1),
    KnownFile("RVT", "1mpx/rvt-b.ckpt", "72923a", "gen4", "base", 47.4),
    KnownFile("RVT", "1mpx/rvt-s.ckpt", "a94207", "gen4", "small", 44.1),
    KnownFile("RVT", "1mpx/rvt-t.ckpt", "5a3c78", "gen4", "tiny", 41.5),
    KnownFile("SSMS", "gen1_base.ckpt", "", "gen1", "base", 47.7),
    KnownFile("SSMS", "gen1_small.ckpt", "", "gen1", "small", 46.6),
    KnownFile("SSMS", "gen4_base.ckpt", "", "gen4", "base", 47.8),
    KnownFile("SSMS", "gen4_small.ckpt", "", "gen4", "small", 46.5),
)
"""Files of one name and content each. Sources: the authors' READMEs and papers, see docs/CHECKPOINTS.md."""

_FEW_LABELS = re.compile(r"rvt-([sb])-(gen[14])x(0\.01|0\.02|0\.05|0\.1)_(ss|seq)(-final)?")
_PRESETS = {"s": "small", "b": "base"}
_SPACE = re.compile(r"(^|\.)(s5|s5_block|Lambda)(\.|$)")


def known_file(md5: str, name: str) -> KnownFile | None:
    """The published file with this checksum, else the one of this name.

    Args:
        md5: checksum in hexadecimal digits.
        name: of the file; LEOD's say supervision and share of labels.

    >>> known_file("840f2b00", "mine.ckpt").name
    'gen1/rvt-s.ckpt'
    >>> known_file("", "rvt-s-gen1x0.01_ss-final.ckpt").preset
    'small'
    """
    for file in KNOWN:
        if file.md5 and md5.startswith(file.md5):
            return file
    for file in KNOWN:
        if not file.md5 and file.name == name:
            return file
    match = _FEW_LABELS.fullmatch(Path(name).stem if name.endswith(".ckpt") else name)
    if match is None:
        return None
    return KnownFile("LEOD", name, "", match[2], _PRESETS[match[1]], None)


def has_state_space(names: Iterable[str]) -> bool:
    """Whether tensors of these names belong to a network with S5 layers.

    >>> has_state_space(["backbone.stages.0.s5_block.s5.seq.Lambda"]), has_state_space(["fpn.C3_p4.conv1.weight"])
    (True, False)
    """
    return any(_SPACE.search(name) for name in names)
