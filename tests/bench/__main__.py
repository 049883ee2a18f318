"""`make bench`: everything that has a goal, measured in one run beside its references, in one table.

Options: `--quick` for a small dose (for trying out; its figures mean little), `--json` for JSON instead of the table.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from tests import databases, servers
from tests.bench import suite, table


def main() -> int:
    """The table was printed; a goal that was missed is in it and is no failure of the run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small dose")
    parser.add_argument("--json", action="store_true", help="JSON instead of the table")
    options = parser.parse_args()
    dose = suite.QUICK if options.quick else suite.FULL
    about, began = table.machine(), time.monotonic()
    with (
        servers.run() as run,
        databases.Maker(servers.shared(run.folder, servers.Postgres)) as maker,
        tempfile.TemporaryDirectory() as folder,
    ):
        rows = asyncio.run(suite.measured(Path(folder), maker, dose))
    about |= {"seconds": round(time.monotonic() - began), "command": " ".join(["python -m tests.bench", *sys.argv[1:]])}
    if options.json:
        print(json.dumps(table.as_values(rows, suite.notes(dose), about), indent=2, ensure_ascii=False))
    else:
        print(table.as_text(rows, [_said(about), *suite.notes(dose)]))
    return 0


def _said(about: dict[str, object]) -> str:
    return (
        f"{about['command']}: {about['seconds']} s on {about['cores']} cores, {about['memory_gb']} GB, "
        f"{about['system']}, Python {about['python']}, load before {about['load_before']}"
    )


if __name__ == "__main__":
    sys.exit(main())
