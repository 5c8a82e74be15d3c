"""`scripts/bench NAME`: runs one benchmark and prints its rows."""

from __future__ import annotations

import argparse
import importlib
import sys

from scripts.benches import table

NAMES = {"first-light": "scripts.benches.first_light"}


def main() -> int:
    parser = argparse.ArgumentParser("scripts/bench", description=__doc__)
    parser.add_argument("name", choices=sorted(NAMES), metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    options = parser.parse_args()
    rows = importlib.import_module(NAMES[options.name]).rows()
    table.show(rows, options.json)
    return 0 if all(row.holds is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
