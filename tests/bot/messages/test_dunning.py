"""Notices about payments read well, whatever is known."""

import pytest

from bot.messages import dunning
from core import catalogue


@pytest.mark.parametrize("name", sorted(dunning.NOTICES))
@pytest.mark.parametrize("known", [{"amount": "29.00 USD", "card": "Visa 4242"}, {"amount": "500 Stars"}, {}])
def test_notices_are_whole_sentences_whatever_is_known(name: str, known: dict[str, str]) -> None:
    facts = {"plan": "Everything", "until": "2026-02-01T12:00:00+00:00", "at": "2026-02-01T12:00:00+00:00"}
    facts |= {"expires": "2026-01"} | known
    said = dunning.NOTICES[name](facts, catalogue.Service()).plain
    assert "None" not in said
    assert "  " not in said
    assert "()" not in said
    assert all(row.endswith((".", "?", "/paysupport", "/status")) for row in said.replace("\u2060", "").splitlines())


@pytest.mark.parametrize("name", ["payment_failed", "grace_ends"])
def test_who_pays_in_stars_reads_nothing_of_cards(name: str) -> None:
    facts = {"plan": "Everything", "until": "2026-02-01T12:00:00+00:00", "amount": "500 Stars"}
    said = dunning.NOTICES[name](facts, catalogue.Service())
    assert "My Stars" in said.plain
    assert "card" not in said.plain
    assert not said.buttons
