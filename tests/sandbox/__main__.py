"""`python -m tests.sandbox demo [--once]`."""

import argparse
import sys

from tests.sandbox import demo


def main() -> int:
    """The exit code of what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("demo", help="the whole product against the sandbox, offline")
    shown.add_argument("--once", action="store_true", help="play the story unattended and judge it")
    return demo.run(once=parser.parse_args().once)


if __name__ == "__main__":
    sys.exit(main())
