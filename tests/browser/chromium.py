"""Where the browser of the browser tests is, and what to say where there is none."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome")
LEFT_OUT = "The browser tests were left out: no Chromium was found. Get one with: apt-get install chromium"


def found() -> str:
    """The path of a Chromium on this machine, `CHROMIUM` first; empty when there is none."""
    named = os.environ.get("CHROMIUM", "")
    return named or next((path for name in NAMES if (path := shutil.which(name))), "")


def left_out(asked: Sequence[str], root: Path) -> str:
    """One sentence when these arguments of pytest ask for the browser tests too and no browser is there."""
    folders = [(root / arg.partition("::")[0]).resolve() for arg in asked]
    return LEFT_OUT if not found() and any(HERE.is_relative_to(folder) for folder in folders) else ""
