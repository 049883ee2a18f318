"""docs/record.md shows a true record, and a check that an outsider can really run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.signals import proof

TEXT = (Path(__file__).parents[3] / "docs" / "record.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def test_the_example_is_a_record_that_is_right() -> None:
    chain = proof.Chain()
    for line in block("json").splitlines(keepends=True):
        chain.take(line.encode())
    report = chain.end()
    assert (report.entries, report.closed) == (3, 1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", "right: 3 entries"),
        ('"kind":"opened"', '"kind":"target"', "entry 1 is wrong"),
        ('"price":"100.00","share":"0.5"}],"filled"', '"price":"100.01","share":"0.5"}],"filled"', "entry 3 is wrong"),
        ('"entries":3', '"entries":2', "the end is wrong"),
    ],
)
def test_the_check_in_twenty_lines_works(tmp_path: Path, old: str, new: str, said: str) -> None:
    script, record = tmp_path / "check.py", tmp_path / "record.jsonl"
    script.write_text(block("python"), encoding="utf-8")
    record.write_text(block("json").replace(old, new), encoding="utf-8")
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", script, record], capture_output=True, text=True, check=False
    )
    assert said in shown.stdout + shown.stderr
    assert (shown.returncode == 0) == (said.startswith("right"))
