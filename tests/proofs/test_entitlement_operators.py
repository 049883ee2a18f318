"""A short dose of the proof of entitlement, with operators who have chosen otherwise."""

import pytest

from tests.proofs import entitlement

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("operator", ["strict", "patient"])
def test_whatever_an_operator_has_chosen_holds_for_every_member(operator: str) -> None:
    figures = entitlement.play(operator, seed=4, sequences=410, steps=4)
    print(figures)
    assert figures.sequences >= 500
    assert figures.reconciles > 100
