"""The strategy that throws dice, known like the real ones."""

import pytest

from core import strategies
from tests.core.backtest import dice


@pytest.fixture
def dice_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plug-in `dice` is installed."""
    monkeypatch.setitem(strategies._registry(), "dice", dice.Dice)
