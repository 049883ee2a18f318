"""Which payments are one subscription, and what it is worth at any moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks import payments
from webhooks.payments import stars_objects

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PERIOD, GRACE = stars_objects.PERIOD, timedelta(days=3)
BOUGHT = stars_objects.Purchase(7, 3, "signals", 500, 1_800_000_000)


def entry(charge: str, at: datetime, *, user: int = 1, back: bool = False, **partner: Any) -> dict[str, Any]:
    who = {"type": "user", "user": {"id": user}, "invoice_payload": str(BOUGHT), "subscription_period": 2_592_000}
    side = "receiver" if back else "source"
    return {"id": charge, "amount": 500, "date": int(at.timestamp()), side: who | partner}


def book(*entries: dict[str, Any]) -> stars_objects.Book:
    made = stars_objects.Book()
    for one in entries:
        made.enter(one)
    return made


def ids(made: stars_objects.Book) -> list[list[str]]:
    return [[paid.charge for paid in chain.payments] for chain in made.all()]


def worth(made: stars_objects.Book, now: datetime, told: str = "") -> Any:
    [chain] = made.all()
    return stars_objects.snapshot(chain, told=told, grace=GRACE, read_at=now)


def test_what_is_written_into_an_invoice_is_read_again() -> None:
    longest = stars_objects.Purchase(10**18, 10**18, "p" * 24, 10_000, 9_999_999_999)
    assert len(str(longest)) <= 100
    assert stars_objects.purchase(str(longest)) == longest
    assert BOUGHT.price_id == "stars:signals:500"


@given(st.text())
def test_no_other_text_breaks_anything(text: str) -> None:
    assert stars_objects.purchase(text) is None
    assert stars_objects.purchase(f"signalstack:{text}") is None


def test_renewals_follow_at_the_end_of_a_period_give_or_take() -> None:
    late = START + PERIOD + 2 * DAY
    made = book(entry("a", START), entry("b", START + PERIOD - HOUR), entry("c", START + 2 * PERIOD))
    assert ids(made) == [["a", "b", "c"]]
    assert worth(made, START).period_end == START + 3 * PERIOD
    assert worth(book(entry("a", START), entry("b", late)), late).period_end == late + PERIOD


def test_two_at_once_and_one_begun_again_are_subscriptions_of_their_own() -> None:
    made = book(
        entry("a", START),
        entry("b", START + timedelta(seconds=5)),
        entry("c", START + PERIOD),
        entry("d", START + PERIOD + timedelta(seconds=5)),
        entry("e", START + 4 * PERIOD),
        entry("f", START, user=2),
    )
    assert sorted(ids(made)) == [["a", "c"], ["b", "d"], ["e"], ["f"]]


def test_other_transactions_are_nothing_of_ours() -> None:
    made = book(
        {"id": "w", "amount": 9, "date": 1, "receiver": {"type": "fragment"}},
        {"id": "x", "amount": 9, "date": 1, "source": {"type": "other"}},
        {"id": "y", "amount": 9, "date": 1},
        entry("z", START, invoice_payload="a donation"),
        entry("g", START, subscription_period=None),
    )
    assert ids(made) == []
    assert made.chain("g") is None
    assert made.payment("g") is not None


@pytest.mark.parametrize(
    ("after", "told", "status"),
    [
        (timedelta(), "", "active"),
        (PERIOD - HOUR, "", "active"),
        (PERIOD + HOUR / 2, "", "active"),
        (PERIOD + HOUR / 2, "failed", "past_due"),
        (PERIOD + 2 * HOUR, "", "past_due"),
        (PERIOD + GRACE, "", "canceled"),
        (PERIOD + 2 * HOUR, f"until:{int((START + PERIOD + DAY).timestamp())}", "active"),
        (PERIOD - HOUR, "a word of the future", "active"),
    ],
)
def test_what_a_subscription_is_follows_from_its_last_payment(after: timedelta, told: str, status: str) -> None:
    said = worth(book(entry("a", START)), START + after, told)
    assert (said.status, said.hold) == (status, "")
    assert said.ended_at == (START + PERIOD if status == "canceled" else None)
    assert said.period_start == (START + PERIOD if status == "past_due" else said.period_end - PERIOD)


def test_whether_it_renews_is_said_only_by_updates() -> None:
    made = book(entry("a", START))
    words = {"": None, "canceled": True, "active": False, "failed": None}
    assert {told: worth(made, START, told).cancel_at_period_end for told in words} == words


def test_only_the_latest_payment_that_was_given_back_takes_access() -> None:
    old = book(entry("a", START), entry("b", START + PERIOD), entry("a", START + PERIOD, back=True))
    new = book(entry("a", START), entry("b", START + PERIOD), entry("b", START + PERIOD, back=True))
    assert (worth(old, START + PERIOD).hold, worth(old, START + PERIOD).claims) == ("", ("a",))
    assert (worth(new, START + PERIOD).hold, worth(new, START + PERIOD).claims) == ("refunded", ("b",))
    assert new.given_back(START + PERIOD) == ["b"]
    assert new.given_back(START + PERIOD + HOUR) == []


def test_updates_say_where_to_look() -> None:
    paid = {"invoice_payload": str(BOUGHT), "telegram_payment_charge_id": "a", "subscription_expiration_date": 5}
    said = {"user": {"id": 1}, "invoice_payload": str(BOUGHT), "state": "canceled"}

    def read(kind: str, update: Any) -> payments.Subject:
        return stars_objects.subject(kind, orjson.dumps(update))

    told = {"message": {"successful_payment": paid}}
    assert read("successful_payment", told) == payments.Subject(payment="a", told="until:5")
    back = {"message": {"refunded_payment": {**paid, "subscription_expiration_date": None}}}
    assert read("refunded_payment", back) == payments.Subject(payment="a")
    assert read("subscription", {"subscription": said}) == payments.Subject(session=str(BOUGHT), told="canceled")
    others = {"message": {"successful_payment": paid | {"invoice_payload": "a donation"}}}
    assert not read("successful_payment", others)
    assert not read("subscription", {"subscription": said | {"invoice_payload": "another"}})


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 2), st.booleans()), max_size=30), st.integers(0, 300))
def test_every_payment_is_of_one_subscription_and_none_lasts_too_long(
    paid: list[tuple[int, int, bool]], day: int
) -> None:
    made = stars_objects.Book()
    rows = sorted(paid)
    for number, (at, user, back) in enumerate(rows):
        made.enter(entry(f"c{number}", START + at * DAY, user=user))
        if back:
            made.enter(entry(f"c{number}", START + at * DAY, user=user, back=True))
    found = [*made.all()]
    assert sorted(one.charge for chain in found for one in chain.payments) == sorted(f"c{n}" for n in range(len(rows)))
    for chain in found:
        said = stars_objects.snapshot(chain, told="", grace=GRACE, read_at=START + day * DAY)
        last = chain.payments[-1].at
        assert last + PERIOD <= chain.until <= last + PERIOD + DAY * len(chain.payments)
        assert (said.status == "active") == (said.read_at < chain.until + HOUR)
