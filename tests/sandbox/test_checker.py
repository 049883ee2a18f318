"""The checker, held against histories made by hand: each kind of fault is found, and good histories pass."""

from typing import Any

import pytest

from tests.sandbox import checker, checker_play, checker_reading

PAYER, OTHER, STRANGER, BASE = checker_play.PAYER, checker_play.OTHER, checker_play.STRANGER, checker_play.BASE
Play = checker_play.Play


@pytest.fixture
def play() -> Play:
    return Play()


def good(play: Play) -> None:
    play.candle()
    first = [(chat, play.opening(chat)) for chat in (PAYER, OTHER)]
    play.wait(60)
    for chat, message in first:
        play.update(chat, message)


def test_a_good_history_passes_with_its_counts(play: Play) -> None:
    good(play)
    play.text(STRANGER, "Latest results\n\n✓ Target hit · BTC/USDT long · 1h · #7: +1.78 %")

    verdict = play.judged()

    assert verdict.ok, str(verdict)
    assert (verdict.signals, verdict.openings, verdict.updates, verdict.most_copies) == (1, 2, 2, 1)
    assert verdict.busiest_second == 3
    assert str(verdict).startswith("GOOD: 1 signals")


def test_an_opening_that_a_payer_never_got_is_lost(play: Play) -> None:
    play.candle()
    play.opening(PAYER)

    verdict = play.judged()

    assert verdict.lost == [f"#7 never reached chat {OTHER}"]
    assert not verdict.ok
    assert "BAD" in str(verdict)


def test_an_expected_signal_that_nobody_got_is_lost_to_everybody(play: Play) -> None:
    good(play)

    verdict = play.judged(expected_signals=[7, 8])

    assert verdict.lost == [f"#8 never reached chat {PAYER}", f"#8 never reached chat {OTHER}"]


def test_who_begins_or_ends_paying_during_a_fan_out_is_owed_nothing(play: Play) -> None:
    play.opening(PAYER)
    late = len(play.history.events)
    spans = [checker.Entitlement(PAYER), checker.Entitlement(OTHER, since=late), checker.Entitlement(13, -1, late)]
    play.wait(1)
    play.opening(14)
    play.text(OTHER, "Welcome!")

    verdict = checker.judge(play.history, entitled=[*spans, checker.Entitlement(14)])

    assert verdict.lost == []


def test_two_copies_are_repeats_and_allowed_only_by_the_rules(play: Play) -> None:
    good(play)
    play.opening(PAYER, mark=" (repeat)")

    strict, lenient = play.judged(), play.judged(rules=checker.Rules(copies=2))

    assert strict.repeats == lenient.repeats == [f"2 copies of the opening of #7 in chat {PAYER}"]
    assert strict.most_copies == 2
    assert not strict.ok
    assert lenient.ok


def test_three_copies_are_too_many_even_where_two_are_allowed(play: Play) -> None:
    good(play)
    play.opening(PAYER, mark=" (repeat)")
    play.opening(PAYER, mark=" (repeat)")

    assert list(play.judged(rules=checker.Rules(copies=2)).faults) == ["too many copies"]


def test_a_second_copy_of_an_update_is_never_allowed(play: Play) -> None:
    good(play)
    play.update(PAYER, 1)

    assert not play.judged(rules=checker.Rules(copies=2)).ok


def test_an_update_before_its_opening_is_out_of_order(play: Play) -> None:
    play.update(PAYER, None)
    play.opening(PAYER)

    assert len(play.judged(PAYER).early_updates) == 1


def test_an_update_that_answers_another_message_is_out_of_order(play: Play) -> None:
    message = play.opening(PAYER)
    play.update(PAYER, message + 100)

    assert "no reply" in play.judged(PAYER).early_updates[0]


def test_an_update_that_can_answer_nothing_is_right_only_where_nobody_knows_the_openings_id(play: Play) -> None:
    message = play.opening(PAYER)
    play.update(PAYER, None)

    assert "no reply" in play.judged(PAYER).early_updates[0]
    assert not play.judged(PAYER, rules=checker.Rules(unanswerable=frozenset({(PAYER, 7)}))).early_updates

    play.update(PAYER, message + 100)
    assert play.judged(PAYER, rules=checker.Rules(unanswerable=frozenset({(PAYER, 7)}))).early_updates


def test_an_update_to_somebody_without_the_opening_is_out_of_order(play: Play) -> None:
    good(play)
    play.update(STRANGER, None)

    assert play.judged().early_updates


def test_an_end_that_was_told_to_others_only_is_a_lost_update(play: Play) -> None:
    first = play.opening(PAYER)
    play.opening(OTHER)
    play.update(PAYER, first)

    strict, lenient = play.judged(), play.judged(rules=checker.Rules(updates_lost=True))

    assert strict.lost_updates == [f"the end of #7 was never told in chat {OTHER}"]
    assert not strict.ok
    assert lenient.ok


def test_an_opening_to_a_stranger_is_unpaid(play: Play) -> None:
    good(play)
    play.opening(STRANGER)

    assert "#7" in play.judged().unpaid[0]


@pytest.mark.parametrize(
    "text",
    [
        "Latest signals\n\n▲ Long BTC/USDT · 1h · #7 · open\nEntry 1",
        "While we were away: 1 signal\n· ▼ Short BTC/USDT · 1h · #7",
    ],
)
def test_a_list_with_open_signals_to_a_stranger_is_unpaid(play: Play, text: str) -> None:
    play.text(STRANGER, text)

    assert len(play.judged().unpaid) == 1


def test_a_chart_to_a_stranger_is_unpaid_whatever_its_words_say(play: Play) -> None:
    play.text(STRANGER, "Look at this", photo=True)

    assert "a chart" in play.judged().unpaid[0]


def test_a_message_edited_into_an_opening_is_unpaid_too(play: Play) -> None:
    fields = {"chat_id": STRANGER, "message_id": 1, "has_photo": False, "buttons": []}
    play.add("telegram_edit", text="▲ Long BTC/USDT · 1h · #7", **fields)

    assert play.judged().unpaid


def test_what_arrives_after_the_paid_time_is_unpaid_once_the_product_could_know(play: Play) -> None:
    play.candle()
    end = play.add("stripe_ended", member="1", subscription="sub_1", at=BASE + 9e6)
    spans = [checker.Entitlement(PAYER, -1, end["n"])]
    play.wait(2)
    play.opening(PAYER, 7)
    play.wait(60)
    play.opening(PAYER, 8)

    verdict = checker.judge(play.history, entitled=spans)

    assert [row[:2] for row in verdict.unpaid] == ["#8"]


def test_nothing_paid_before_the_payment(play: Play) -> None:
    play.opening(PAYER)
    paid = play.add("stripe_paid", member="1", subscription="sub_1")

    assert len(checker.judge(play.history, entitled=[checker.Entitlement(PAYER, paid["n"])]).unpaid) == 1


def test_an_opening_long_after_its_candle_is_stale_unless_it_says_still_open(play: Play) -> None:
    play.candle()
    play.wait(901)
    play.opening(PAYER)
    play.opening(OTHER, mark=" (still open)")

    verdict = play.judged()

    assert len(verdict.stale) == 1
    assert f"chat {PAYER} was 901.0 s old" in verdict.stale[0]


def test_a_slow_fan_out_becomes_stale(play: Play) -> None:
    play.candle()
    play.opening(PAYER)
    play.wait(4)
    play.opening(OTHER)

    assert play.judged().stale == []
    assert len(play.judged(rules=checker.Rules(stale_after=3)).stale) == 1


def test_a_request_inside_a_flood_pause_is_found_but_not_one_that_was_on_its_way(play: Play) -> None:
    play.add("telegram_request_in_pause", chat_id=PAYER, method="sendPhoto", since=0.02, left=5)
    play.add("telegram_request_in_pause", chat_id=PAYER, method="sendPhoto", since=2.5, left=2.5)

    assert play.judged().in_pause == [f"sendPhoto to chat {PAYER}, 2.5 s into the pause (event 1)"]


def test_more_than_thirty_in_a_sliding_second_are_too_fast(play: Play) -> None:
    for number in range(31):
        play.text(1000 + number, "Welcome")
        play.wait(0.032)
    slow = play.judged()
    play.text(2000, "One more")

    assert slow.busiest_second == 31
    assert list(slow.faults) == ["too fast"]
    assert play.judged(rules=checker.Rules(per_second=100)).ok


def test_payers_are_read_from_what_happened_at_stripe(play: Play) -> None:
    facts = {"member": "5", "subscription": "sub_1"}
    play.add("stripe_paid", member="6", subscription="sub_0")
    since = play.add("stripe_paid", **facts)["n"]
    play.add("stripe_renewed", **facts)
    play.add("stripe_payment_failed", **facts, status="past_due")
    play.add("stripe_refunded", **facts, full=False)
    until = play.add("stripe_ended", **facts, at=BASE + 1e6)["n"]
    again = play.add("stripe_paid", member="5", subscription="sub_2")["n"]

    found = checker_reading.payers(play.history.events, {"5": PAYER})

    assert found == [checker.Entitlement(PAYER, since, until), checker.Entitlement(PAYER, again)]


@pytest.mark.parametrize(
    "end",
    [
        {"event": "stripe_refunded", "full": True},
        {"event": "stripe_disputed", "status": "needs_response"},
        {"event": "stripe_payment_failed", "status": "unpaid"},
    ],
)
def test_a_refund_a_dispute_and_unpaid_end_what_was_paid(play: Play, end: dict[str, Any]) -> None:
    facts = {"member": "5", "subscription": "sub_1"}
    play.add("stripe_paid", **facts)
    play.add(**facts, **end)

    assert checker_reading.payers(play.history.events, {"5": PAYER})[0].until == 1


def test_a_checkout_link_names_its_member() -> None:
    links = [(PAYER, "http://127.0.0.1:1/checkout/WzQyLCJzaWduYWxzIl0.aBcD.xyz"), (OTHER, "https://example.com/")]

    assert checker_reading.members(links) == {"42": PAYER}
    assert checker_reading.members([(OTHER, "http://h/checkout/%%%.x")]) == {}


def test_a_member_with_links_in_several_chats_is_known_by_the_first() -> None:
    link = "http://127.0.0.1:1/checkout/WzQyLCJzaWduYWxzIl0.aBcD.xyz"

    assert checker_reading.members([(PAYER, link), (("discord", 5), link)]) == {"42": PAYER}


def test_what_is_handed_to_newcomers_later_does_not_excuse_a_loss(play: Play) -> None:
    play.opening(PAYER)
    play.wait(60)
    until = play.add("stripe_ended", member="1", subscription="sub_1")["n"]
    play.opening(13, mark=" (still open)")
    spans = [checker.Entitlement(PAYER), checker.Entitlement(OTHER, -1, until), checker.Entitlement(13, until)]

    assert checker.judge(play.history, entitled=spans).lost == [f"#7 never reached chat {OTHER}"]


def test_a_signal_that_has_ended_may_be_looked_up_by_everybody(play: Play) -> None:
    good(play)
    ended = "▲ Long BTC/USDT · 1h · #7\n✓ Target hit: +1.78 % (+1.50 R)\nafter 4 candles"
    play.text(STRANGER, ended)
    play.text(PAYER, ended)

    verdict = play.judged()

    assert verdict.ok, str(verdict)
    assert verdict.openings == 2
