"""The port holds: a second provider was added, and no room but its own, the catalogue and the messages knows of it."""

import re
from pathlib import Path

from webhooks import payments
from webhooks.payments import stars, stripe

ROOT = Path(__file__).parents[2]
ROOMS = ("bot", "core", "webhooks")
ITS_OWN = ("webhooks/payments/", "bot/messages/", "core/sold.py", "core/settings.py")
WORD = re.compile(r"\bstars\b|stars_|payments\.stripe|payments import stripe")
# The command line prepares an account, which only one of them has.
SETUP = {"bot/__main__.py"}


def test_nothing_else_in_the_product_names_the_second_provider() -> None:
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    named = {
        str(path.relative_to(ROOT))
        for path in files
        if not str(path.relative_to(ROOT)).startswith(ITS_OWN) and WORD.search(path.read_text(encoding="utf-8"))
    }
    assert named <= SETUP


def test_both_providers_have_everything_that_the_port_names() -> None:
    assert payments.names() == ["stars", "stripe"]
    asked = {name for name in vars(payments.Provider) if not name.startswith("_")}
    asked |= {name for name in payments.Provider.__annotations__ if name != "origins"}
    for provider in (stripe.Stripe, stars.Stars):
        assert {name for name in asked if not hasattr(provider, name)} == set()
