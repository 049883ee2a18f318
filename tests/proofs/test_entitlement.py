"""A short dose of the proof of entitlement, with the usual operator; the long one is `make prove`."""

import pytest

from tests.proofs import entitlement
from tests.proofs import entitlement_model as model
from tests.proofs import entitlement_stage as staging

pytestmark = pytest.mark.timeout(900)  # thousands of histories; on a machine that has other things to do they take long


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_has_more_or_less_than_the_account_says_whatever_happens(seed: int) -> None:
    figures = entitlement.play("usual", seed=seed, sequences=410, steps=4)
    print(figures)
    assert figures.sequences >= 500
    assert figures.events["dropped"] > 100


class Deaf(staging.Stage):
    """A product that never asks by itself."""

    async def compares(self) -> None:
        await self.work()


@pytest.mark.parametrize("fault", ["no reconcile", "pause forgotten"])
def test_the_machine_finds_a_fault_that_was_planted(fault: str) -> None:
    rule = entitlement.OPERATORS["usual"].choices
    other = model.Choices(rule.plans, paused_keeps=fault == "pause forgotten")
    stage = (Deaf if fault == "no reconcile" else staging.Stage)(other)
    stage.choices = rule
    try:
        with pytest.raises((AssertionError, ExceptionGroup)):
            entitlement.play_on(stage, seed=3, sequences=300, steps=6, shortest=False)
    finally:
        stage.close()
