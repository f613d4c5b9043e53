"""Decide whether a further round of self-training is worth it; ``scripts/self_train.py`` calls it as a step."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import make_parser
from scripts.rounds.stopping import precision
from utils.atomic import write_json
from utils.commands.cli import run_command

log = logging.getLogger(__name__)


def main() -> None:
    """Compare the precision of this round's pseudo labels with that of the round before."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("before", type=Path, help="figures of val_dst.py on the labels of the round before (JSON)")
    parser.add_argument("now", type=Path, help="... on those of this round")
    parser.add_argument("decision", type=Path, help="JSON to write")
    parser.add_argument("marker", type=Path, help="file to write if precision has fallen")
    arguments = parser.parse_args()
    before, now = precision(arguments.before), precision(arguments.now)
    decision = {"precision_before": before, "precision": now, "stop": now < before}
    if decision["stop"]:
        write_json(arguments.marker, decision)
    write_json(arguments.decision, decision)
    log.info("precision %.2f %% after %.2f %%: %s", 100 * now, 100 * before, "stop" if decision["stop"] else "go on")


if __name__ == "__main__":
    run_command(main)
