"""How the checker reads gifts: only a code that was paid for opens anything, once, for whoever says it first."""

import pytest

from tests.sandbox import checker_gifts, checker_stars, history
from tests.sandbox.checker_reading import Entitlement

BUYER, FRIEND, OTHER = 1, 2, 3
CODE, NEWER = "u6KP2hnC5tgtWbOsDq4fdA", "Zx81kQm3s9_aPp0-LrTeWw"
CHATS = {"7": BUYER}


class Given:
    """A history in which gifts are bought, handed on and taken."""

    def __init__(self) -> None:
        self.rows = history.History()

    def bought(self) -> int:
        return self._add("stripe_bought", member="7", amount=2900)

    def handed(self, code: str = CODE, chat: int = BUYER) -> int:
        return self._add(
            "telegram_message", chat_id=chat, text=f"To hand on\nOr, in a chat with our bot: /redeem {code}"
        )

    def said(self, user: int, words: str = f"/redeem {CODE}") -> int:
        return self._add("telegram_said", chat_id=user, user_id=user, text=words)

    def _add(self, event: str, **fields: object) -> int:
        number: int = self.rows.add(event, **fields)["n"]
        return number

    def found(self) -> list[Entitlement]:
        return checker_gifts.receivers(self.rows.events, CHATS)


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.mark.parametrize("words", [f"/redeem {CODE}", f"/start redeem_{CODE}", f"/redeem {CODE} yes"])
def test_whoever_says_a_paid_code_has_the_plan_from_then_on(given: Given, words: str) -> None:
    given.bought()
    given.handed()
    since = given.said(FRIEND, words)

    assert given.found() == [Entitlement(FRIEND, since)]


def test_a_code_works_once(given: Given) -> None:
    given.bought()
    given.handed()
    since = given.said(FRIEND)
    given.said(OTHER)

    assert given.found() == [Entitlement(FRIEND, since)]


def test_a_code_that_nobody_has_paid_for_opens_nothing(given: Given) -> None:
    given.handed()
    given.said(FRIEND)
    given.bought()
    given.said(OTHER, "/redeem something-else-entirely")

    assert given.found() == []


def test_the_newer_code_of_a_gift_takes_the_place_of_the_older_one(given: Given) -> None:
    given.bought()
    given.handed()
    given.handed(NEWER)
    given.said(OTHER)
    since = given.said(FRIEND, f"/redeem {NEWER}")

    assert given.found() == [Entitlement(FRIEND, since)]


def test_two_gifts_are_two_codes(given: Given) -> None:
    given.bought()
    given.bought()
    given.handed()
    given.handed(NEWER)

    assert given.found() == []
    one, two = given.said(FRIEND), given.said(OTHER, f"/redeem {NEWER}")
    assert given.found() == [Entitlement(FRIEND, one), Entitlement(OTHER, two)]


def test_a_gift_may_be_paid_and_given_back_in_stars(given: Given) -> None:
    paid = {"user_id": BUYER, "charge": "stx1", "period": 0}
    given.rows.add("telegram_stars_paid", **paid, renewal=False)
    given.handed()
    since = given.said(FRIEND)
    assert given.found() == [Entitlement(FRIEND, since)]
    assert checker_stars.payers(given.rows.events) == []
    ended = given.rows.add("telegram_stars_refunded", **paid)["n"]

    assert given.found() == [Entitlement(FRIEND, since, ended)]


def test_who_pays_a_subscription_in_stars_has_it_until_they_are_given_back(given: Given) -> None:
    paid = {"user_id": OTHER, "charge": "stx2", "period": 2_592_000}
    since = given.rows.add("telegram_stars_paid", **paid, renewal=False)["n"]
    given.rows.add("telegram_stars_paid", **paid | {"charge": "stx3"}, renewal=True)
    assert checker_stars.payers(given.rows.events) == [Entitlement(OTHER, since)]
    ended = given.rows.add("telegram_stars_refunded", **paid)["n"]

    assert checker_stars.payers(given.rows.events) == [Entitlement(OTHER, since, ended)]
    assert given.found() == []


@pytest.mark.parametrize("event", ["stripe_refunded", "stripe_disputed"])
def test_a_payment_that_went_back_ends_the_gift(given: Given, event: str) -> None:
    given.bought()
    given.handed()
    since = given.said(FRIEND)
    given.rows.add("stripe_refunded", member="7", subscription="sub_1", full=True)
    given.rows.add("stripe_refunded", member="7", subscription=None, full=False)
    ended = given.rows.add(event, member="7", subscription=None, full=True)["n"]

    assert given.found() == [Entitlement(FRIEND, since, ended)]
