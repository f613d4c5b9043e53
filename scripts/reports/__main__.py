"""Make the reports of runs again, from their folders alone: ``python scripts/reports --help``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import make_parser
from utils.commands.cli import run_command


def main() -> None:
    """Write ``report.html`` and ``results.png`` into each folder."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of a run")
    arguments = parser.parse_args()
    from modules.reports.write import write_report

    for folder in arguments.folders:
        print(write_report(folder))


if __name__ == "__main__":
    run_command(main)
