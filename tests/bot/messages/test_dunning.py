"""Notices about payments read well, whatever is known."""

import pytest

from bot.messages import dunning
from core import catalogue


@pytest.mark.parametrize("name", sorted(dunning.NOTICES))
@pytest.mark.parametrize("known", [True, False])
def test_notices_are_whole_sentences_whatever_is_known(name: str, known: bool) -> None:
    facts = {"plan": "Everything", "until": "2026-02-01T12:00:00+00:00", "at": "2026-02-01T12:00:00+00:00"}
    facts |= {"expires": "2026-01"} | ({"amount": "29.00 USD", "card": "Visa 4242"} if known else {})
    said = dunning.NOTICES[name](facts, catalogue.Service()).plain
    assert "None" not in said
    assert "  " not in said
    assert "()" not in said
    assert all(row.endswith((".", "?", "/paysupport", "/status")) for row in said.replace("\u2060", "").splitlines())
