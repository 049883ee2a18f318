"""An operator's own strategies are held to the same promises: SIGNALSTACK_STRATEGIES names their directory."""

import os
from pathlib import Path

import pytest

from core import errors, strategies


def pytest_configure(config: pytest.Config) -> None:
    if folder := os.environ.get("SIGNALSTACK_STRATEGIES"):
        try:
            strategies.load(Path(folder))
        except errors.ConfigError as error:
            raise pytest.UsageError(*error.faults) from None


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies that the test loads are forgotten after it."""
    ours = {name: kind for name, kind in strategies._registry().items() if name not in strategies._files}
    monkeypatch.setattr(strategies, "_registry", lambda: ours)
    monkeypatch.setattr(strategies, "_files", {})
