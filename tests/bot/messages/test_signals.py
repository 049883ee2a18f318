from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import messages
from bot.messages import doubled, dunning
from core import catalogue
from core.delivery import claims
from core.models import SignalStatus
from tests.bot import signals

SERVICE = catalogue.Service()
BOOK = catalogue.Catalogue(service=SERVICE)


def said(message: messages.Message) -> str:
    return message.plain.replace("\u202f", " ")


def parcel(kind: str, **given: Any) -> claims.Parcel:
    values = {"id": 1, "epoch": 1, "kind": kind, "event": None, "address": "7", "signal_id": 12, "payload": None}
    values |= {"attempts": 0, "ambiguities": 0, "plain": False, "after_id": None, "place": None, "tried_at": None}
    return claims.Parcel(**(values | {"created_at": datetime(2023, 3, 14, 9, tzinfo=UTC)} | given))


def test_an_opening_says_everything_needed_to_act() -> None:
    message = messages.signals.opening(signals.make(), SERVICE)

    assert said(message) == (
        "▲ Long BTC/USDT · 1h · #12\n"
        "Entry 27 412.10\n"
        "Target 27 900.00 (+1.78 %, +1.56 R)\n"
        "Stop loss 27 100.00 (−1.14 %)\n"
        "Risk/reward 1 : 1.56\n"
        "Expires 16 Mar 2023, 09:00 UTC\n"
        "\n"
        "Close 27412 is 2.31 standard deviations below its 48-candle mean 27900; ATR 14 = 125.\n"
        "\n"
        "Not financial advice. Trading can lose money."
    )
    assert message.picture


def test_a_short_counts_gains_downwards() -> None:
    signal = signals.make(direction="short", target=Decimal(27000), stop=Decimal(27600))

    words = said(messages.signals.opening(signal, SERVICE))

    assert words.startswith("▼ Short BTC/USDT")
    assert "Target 27 000.00 (+1.50 %, +2.19 R)" in words
    assert "Stop loss 27 600.00 (−0.69 %)" in words


def test_t01_a_resent_opening_says_so_in_its_first_line() -> None:
    message = messages.render(parcel("opening"), signals.make(), BOOK, repeat=True)

    assert said(message).splitlines()[0].endswith("(repeat)")
    assert "the price may have moved since" in said(message)


def test_q08_a_signal_handed_over_later_says_since_when_it_is_open() -> None:
    message = messages.render(parcel("opening", payload={"catch_up": True}), signals.make(), BOOK)

    assert said(message).splitlines()[0].endswith("(still open)")
    assert "Given 14 Mar 2023, 09:00 UTC" in said(message)


@pytest.mark.parametrize(
    ("status", "price", "head", "result"),
    [
        (SignalStatus.TARGET, "27900", "✓ Target hit", "+1.78 % (+1.56 R) after 7 candles"),
        (SignalStatus.STOPPED, "27100", "✕ Stopped", "−1.14 % (−1.00 R) after 7 candles"),
        (SignalStatus.EXPIRED, "27412.1", "○ Expired", "0.00 % (0.00 R) after 7 candles"),
    ],
)
def test_an_end_says_what_came_of_it(status: SignalStatus, price: str, head: str, result: str) -> None:
    message = messages.render(parcel("update", event=status), signals.ended(status, price), BOOK)

    assert said(message).startswith(f"{head} · BTC/USDT long · 1h · #12\n{result}\n")
    assert message.picture


def test_an_end_without_its_candle_still_has_words() -> None:
    signal = signals.ended(SignalStatus.TARGET, "27900", close_candle=None)

    assert "after no candle" in said(messages.signals.closing(signal, SERVICE))


def test_x11_every_signal_message_carries_risk_text_and_notice() -> None:
    service = catalogue.Service(risk="You can lose everything.", notice="simulated market")
    ended = signals.ended(SignalStatus.STOPPED, "27100")
    kinds = [
        messages.signals.opening(signals.make(), service),
        messages.signals.opening(signals.make(), service, repeat=True),
        messages.signals.opening(signals.make(), service, catch_up=True),
        messages.signals.closing(ended, service),
        messages.notices.late_summary({"signals": [summary()]}, service),
        messages.lists.latest([signals.make(), ended], service, paying=True),
    ]

    for message in kinds:
        assert "You can lose everything." in message.plain
        assert "simulated market" in message.plain


def summary() -> dict[str, str]:
    return {"id": "12", "status": "open", "symbol": "BTC/USDT", "timeframe": "1h", "direction": "long"}


def test_q07_one_summary_names_what_came_too_late() -> None:
    words = said(messages.notices.late_summary({"signals": [summary()]}, SERVICE))

    assert words.startswith("While we were away: 1 signal\n")
    assert "· ▲ Long BTC/USDT · 1h · #12" in words
    assert "Entry" not in words


def test_a_list_shows_levels_of_open_and_results_of_closed_signals() -> None:
    opened, closed = signals.make(), signals.ended(SignalStatus.TARGET, "27900")

    assert "Entry 27 412.10, target 27 900.00, stop loss 27 100.00" in said(
        messages.Message(tuple(messages.signals.listed(opened)))
    )
    assert [said(messages.Message((line,))) for line in messages.signals.listed(closed)] == [
        "✓ Target hit · BTC/USDT long · 1h · #12: +1.78 % (+1.56 R)"
    ]


@given(
    reason=st.text(max_size=400),
    risk=st.text(min_size=1, max_size=200),
    notice=st.text(max_size=60),
    symbol=st.text(max_size=45),
    repeat=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_t16_an_opening_always_fits_a_caption(reason: str, risk: str, notice: str, symbol: str, repeat: bool) -> None:
    service = catalogue.Service(risk=risk, notice=notice)

    message = messages.signals.opening(signals.make(reason=reason, symbol=symbol), service, repeat=repeat)

    assert messages.units(message.plain) <= 1024


def test_t16_the_reason_gives_way_to_the_risk_text() -> None:
    service = catalogue.Service(risk="😀" * 200, notice="🙃" * 60)

    message = messages.signals.opening(signals.make(reason="🔥" * 400, id=10**9), service)

    assert messages.units(message.plain) <= 1024
    assert "😀" * 200 in message.plain
    assert "🔥…" in message.plain


def test_a_signal_message_without_its_signal_is_an_error() -> None:
    with pytest.raises(ValueError, match="names no signal"):
        messages.render(parcel("opening"), None, BOOK)


def test_the_same_signal_is_put_into_words_once_and_a_changed_one_anew() -> None:
    first = messages.render(parcel("opening"), signals.make(), BOOK)

    assert messages.render(parcel("opening", address="8"), signals.make(), BOOK) is first
    assert "28 000.00" in said(messages.render(parcel("opening"), signals.make(target=Decimal(28000)), BOOK))
    for number in range(70):
        assert f"#{number}\n" in messages.render(parcel("opening"), signals.make(id=number), BOOK).plain


def test_a_reply_says_what_was_stored() -> None:
    stored = messages.answers.hint()

    assert messages.render(parcel("reply", payload={"message": stored.as_dict()}), None, BOOK) == stored


ANN = {"platform": "telegram", "name": "Ann", "username": "ann"}
BOB = {"platform": "discord", "name": "Bob", "username": ""}
PAYING = {"plan": "Gold", "until": "2026-02-15T12:00:00+00:00", "at": "2026-02-15T12:00:00+00:00", "expires": "2026-01"}
NOTICES: dict[str, dict[str, Any]] = {
    **dict.fromkeys((*dunning.NOTICES, *doubled.NOTICES), PAYING),
    **dict.fromkeys(messages.giving.NOTICES, PAYING | {"by": "Ann", "who": "Bob", "gift": 3, "seat": 2}),
    "trial_used": {"card": "Visa 4242"},
    "looked_again": {},
    "look_waits": {},
    "access_started": {"plan": "Gold", "until": "2026-02-15T12:00:00+00:00", "renews": True},
    "access_ended": {"plan": "Gold"},
    "cancel_planned": {"plan": "Gold", "until": "2026-02-15T12:00:00+00:00"},
    "cancel_undone": {"plan": "Gold", "until": "2026-02-15T12:00:00+00:00"},
    "payment_pending": {"plan": "Gold"},
    "payment_refused": {"plan": "Gold"},
    "second_subscription": {"plan": "Gold"},
    "granted": {"plan": "Gold", "until": None},
    "revoked": {"plan": "Gold"},
    "link_asked": {"request": 12, "here": ANN, "there": BOB, "leaves": ""},
    "accounts_linked": {"request": 12, "here": ANN, "there": BOB, "leaves": ""},
    "link_refused": {"request": 12, "here": ANN, "there": BOB, "leaves": ""},
    "account_left": {"account": ANN},
    "broadcast": {"words": "We are away on Sunday."},
    "hook_disabled": {"hook": 3, "host": "tools.example", "said": "It answered with 500."},
    "late_summary": {"signals": []},
    "alarm": {"key": "scan.dead", "text": "Nothing was scanned for an hour."},
    "record_head": {"day": "2026-02-15", "entries": 12, "head": "ab" * 32, "url": "https://signals.example/record"},
    "daily": {"text": "Everything is working. In the last 24 hours: 3 signals published, 1 ended."},
    "drift_report": {"since": "2026-01-05T00:00:00+00:00", "until": "2026-01-12T00:00:00+00:00", "watches": []},
}


@pytest.mark.parametrize("name", sorted(messages.notices.NOTICES))
def test_every_notice_is_said_in_words(name: str) -> None:
    facts = NOTICES[name]

    first = messages.render(parcel("notice", payload={"name": name, **facts}), None, BOOK)
    again = messages.render(parcel("notice", payload={"name": name, **facts}), None, BOOK, repeat=True)

    for fact in ("plan", "text", "key", "words"):
        assert str(facts.get(fact, "")) in first.plain
    if name in {"cancel_planned", "payment_failed"}:
        assert "15 Feb 2026, 12:00 UTC" in first.plain
    assert again.plain.splitlines()[0].endswith("(repeat)")


@pytest.mark.parametrize(
    ("renews", "words"),
    [
        (True, "last until 15 Feb 2026, 12:00 UTC. Then 29.00 USD is charged, unless you cancel before."),
        (False, "It does not renew."),
    ],
)
def test_free_days_that_begin_are_not_called_a_payment(*, renews: bool, words: str) -> None:
    facts = NOTICES["access_started"] | {"renews": renews, "trial": True, "amount": "29.00 USD"}
    begun = messages.notices.access_started(facts, BOOK.service).plain
    assert words in begun
    assert "Payment received" not in begun


def test_a_new_member_is_told_when_the_plan_does_not_renew() -> None:
    facts = NOTICES["access_started"] | {"renews": False}
    service = catalogue.Service(notice="simulated market")

    assert "does not renew" in messages.notices.access_started(facts, service).plain
    assert "simulated market" in messages.notices.access_started(facts, service).plain
