"""The house in one picture, drawn from its imports: ``python scripts/drawings/house.py --help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from scripts.drawings.imports import circles, read_house
from scripts.drawings.picture import draw
from utils.commands.cli import run_command


def main() -> None:
    """Draw; list rooms and circles."""
    parser = argparse.ArgumentParser(description="Draw the rooms, their lines and their imports.")
    picture = REPOSITORY / "docs/images/house.png"
    parser.add_argument("--output", type=Path, default=picture, help="a .png file, by default docs/images/house.png")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="of what is drawn, by default this program")
    args = parser.parse_args()

    def run() -> None:
        house = read_house(args.root)
        draw(house, args.output)
        for name, (files, lines) in sorted(house.rooms().items()):
            print(f"{name:40} {files:4} files {lines:7,} lines")
        print(f"{len(house.imports)} imports, circles: {circles(house.imports) or 'none'}")

    run_command(run)


if __name__ == "__main__":
    main()
