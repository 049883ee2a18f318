"""What the documents say of strategies is true: tables of params, and the example that newcomers copy."""

import re
from pathlib import Path

import numpy as np
import pytest

from core import strategies
from tests.core.strategies import markets, promises, tables

CONTRIBUTING = tables.PAGE.parents[1] / "CONTRIBUTING.md"


def test_the_tables_of_params_are_those_of_the_code() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.written(page), "run: python -m tests.core.strategies.tables"
    assert sorted(tables.shown(page)) == [name for name in strategies.names() if name not in strategies._files]


@pytest.mark.usefixtures("nothing_loaded")
def test_the_example_for_newcomers_keeps_every_promise(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL)
    assert len(example.splitlines()) < 40
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    (name,) = strategies.load(tmp_path)
    strategy = strategies.create(name, {})
    promises.declares_its_params(type(strategy))
    for seed in (1, 2):
        promises.keeps_all(strategy, markets.walk(seed, strategy.warmup))
    entries = strategy.entries(markets.Market(7, 5_000, 100.0, "walk").series())
    assert np.count_nonzero(entries.direction) > 10
