"""The checker on gated places and Discord: who reads a place, who may be inside, and accounts that are one person's."""

from typing import Any

import pytest

from tests.sandbox import checker, checker_play, discord_text
from tests.sandbox.checker_play import DISCORD_PLACE, LOBBY, OTHER, PAYER, SIGNALS, STRANGER, VIP, VIP_PLACE, Play

ANN, BOB, CARL = ("discord", 21), ("discord", 22), ("discord", 29)
PLACES = (VIP_PLACE, DISCORD_PLACE)


@pytest.fixture
def play() -> Play:
    return Play()


def judged(play: Play, *entitled: checker.Account | checker.Entitlement, **options: Any) -> checker.Verdict:
    spans = [one if isinstance(one, checker.Entitlement) else checker.Entitlement(one) for one in entitled]
    return checker.judge(play.history, entitled=spans, places=PLACES, **options)


def good(play: Play) -> None:
    """A payer in each place and one in private see a signal and its end."""
    play.server(ANN[1])
    play.role(ANN[1])
    play.member(PAYER)
    play.candle()
    laid = play.opening(VIP), play.opening(OTHER), play.post()
    play.wait(60)
    play.update(VIP, laid[0])
    play.update(OTHER, laid[1])
    play.end(laid[2])
    play.said("**Latest results**\n\n✓ Target hit · BTC/USDT long · 1h · \\#7: **+1.78 %**", user=CARL[1])


def test_a_good_history_on_both_chats_passes(play: Play) -> None:
    good(play)

    verdict = judged(play, PAYER, OTHER, ANN)

    assert verdict.ok, str(verdict)
    assert (verdict.signals, verdict.openings, verdict.updates, verdict.most_copies) == (1, 3, 3, 1)
    assert "given away 0, inside without paying 0, kept out 0" in str(verdict)


# --- lost


def test_a_post_counts_for_those_who_are_inside_at_that_moment(play: Play) -> None:
    play.member(PAYER)
    play.member(OTHER)
    play.wait(60)
    play.member(OTHER, "left")
    play.wait(60)
    play.opening(VIP)

    assert judged(play, PAYER, OTHER).lost == [f"#7 never reached chat {OTHER}"]


def test_a_post_that_never_came_is_lost_to_everybody_inside(play: Play) -> None:
    play.role(ANN[1])
    play.role(BOB[1])
    play.wait(60)
    play.opening(PAYER)

    assert judged(play, PAYER, ANN, BOB).lost == [f"#7 never reached Discord chat {one[1]}" for one in (ANN, BOB)]


def test_who_goes_in_while_a_signal_is_sent_is_owed_nothing_through_either_way(play: Play) -> None:
    play.opening(PAYER)
    play.member(OTHER)
    play.opening(VIP)

    assert judged(play, PAYER, OTHER).lost == []


def test_a_place_of_other_markets_owes_nothing(play: Play) -> None:
    place = checker.Place(("channel", SIGNALS), "#eth", guild=900, role=901, symbols=frozenset({"ETH/USDT"}))
    play.role(ANN[1])
    play.wait(60)
    play.opening(PAYER)
    spans = [checker.Entitlement(one) for one in (PAYER, ANN)]

    assert checker.judge(play.history, entitled=spans, places=[place]).lost == []


def test_a_discord_account_without_a_place_is_owed_what_it_asked_for_in_private(play: Play) -> None:
    play.opening(PAYER)

    assert judged(play, PAYER, ANN).lost == []
    assert judged(play, PAYER, ANN, private=[ANN]).lost == [f"#7 never reached Discord chat {ANN[1]}"]
    play.post(user=ANN[1])
    assert judged(play, PAYER, ANN, private=[ANN]).lost == []


# --- one person, several accounts


def test_what_one_account_reads_the_person_has(play: Play) -> None:
    play.role(ANN[1])
    play.wait(60)
    play.post()
    one = checker.Linked(frozenset({PAYER, ANN}))

    assert judged(play, PAYER).lost == [f"#7 never reached chat {PAYER}"]
    assert judged(play, PAYER, accounts=[one]).ok
    assert judged(play, PAYER, OTHER, accounts=[one]).lost == [f"#7 never reached chat {OTHER}"]


def test_a_person_who_got_it_nowhere_is_named_with_all_accounts(play: Play) -> None:
    play.opening(OTHER)
    one = checker.Linked(frozenset({PAYER, ANN}))

    assert judged(play, OTHER, PAYER, accounts=[one]).lost == [f"#7 never reached chat {PAYER} or Discord chat 21"]


def test_a_linked_account_may_have_it_from_then_on_and_while_the_other_pays(play: Play) -> None:
    play.post(1, user=ANN[1])
    since = play.add("told")["n"]
    play.post(2, user=ANN[1])
    until = play.add("stripe_ended", member="1", subscription="sub_1")["n"]
    play.wait(60)
    play.post(3, user=ANN[1])
    one = checker.Linked(frozenset({PAYER, ANN}), since)

    verdict = judged(play, checker.Entitlement(PAYER, -1, until), accounts=[one])

    assert [told[:2] for told in verdict.unpaid] == ["#1", "#3"]


def test_accounts_that_were_parted_are_strangers_again(play: Play) -> None:
    until = play.add("told")["n"]
    play.wait(60)
    play.post(user=ANN[1])
    one = checker.Linked(frozenset({PAYER, ANN}), -1, until)

    assert len(judged(play, PAYER, accounts=[one]).unpaid) == 1


# --- given away


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ({"channel": LOBBY}, "no gated place"),
        ({"public": True}, "everybody sees"),
        ({"channel": LOBBY, "public": True}, ""),
    ],
)
def test_an_opening_in_a_channel_that_others_see_is_given_away(play: Play, where: dict[str, Any], why: str) -> None:
    play.post(**where)

    verdict = judged(play)

    assert list(verdict.faults) == ["paid content given away"]
    assert why in verdict.given_away[0]


def test_an_opening_in_an_unknown_group_is_given_away(play: Play) -> None:
    play.opening(-555)

    assert judged(play).given_away == ["#7 in chat -555 (event 0), which is no gated place"]


def test_a_list_of_open_signals_in_the_lobby_is_given_away_too(play: Play) -> None:
    play.said("**Latest signals**\n\n**▼ Short BTC/USDT** · 1h · \\#7 · open", channel=LOBBY, public=True)

    assert "#7" in judged(play).given_away[0]


@pytest.mark.parametrize("event", ["discord_ephemeral", "discord_edit", "discord_message"])
def test_an_answer_with_open_signals_is_for_payers_only(play: Play, event: str) -> None:
    text = "**Latest signals**\n\n**▲ Long BTC/USDT** · 1h · \\#7 · open\nEntry 1"
    for user in (ANN, CARL):
        play.said(text, channel=LOBBY, user=user[1], event=event)

    assert judged(play, ANN).unpaid == [f"#7 in Discord chat {CARL[1]} (event 1)"]


def test_an_answer_is_no_second_opening(play: Play) -> None:
    play.role(ANN[1])
    play.post()
    play.post(user=ANN[1], event="discord_ephemeral")

    verdict = judged(play, ANN)

    assert verdict.ok, str(verdict)
    assert verdict.openings == 1


# --- copies and order


@pytest.mark.parametrize("again", [{}, {"user": 21}])
def test_on_discord_even_one_repeat_is_too_many(play: Play, again: dict[str, Any]) -> None:
    play.post(**again)
    play.post(**again)

    verdict = judged(play, ANN, rules=checker.Rules(copies=2))

    assert list(verdict.faults) == ["too many copies"]
    assert verdict.repeats == verdict.too_many
    assert verdict.repeats[0].startswith("2 copies of the opening of #7 in Discord ch")


def test_a_repeat_in_a_telegram_place_is_one_of_telegrams(play: Play) -> None:
    play.opening(VIP)
    play.opening(VIP, mark=" (repeat)")

    assert list(judged(play).faults) == ["too many copies"]
    assert judged(play, rules=checker.Rules(copies=2)).ok


def test_an_end_in_a_place_answers_the_opening_there(play: Play) -> None:
    there, alone = play.post(), play.opening(PAYER)
    play.end(alone)
    play.update(PAYER, alone)

    assert judged(play, PAYER).early_updates == [f"#7 in Discord channel {SIGNALS} (event 2): no reply to its opening"]
    play.end(there)
    assert "2 copies of the update" in judged(play, PAYER).too_many[0]


def test_an_end_without_its_opening_in_that_place_is_out_of_order(play: Play) -> None:
    alone = play.opening(PAYER)
    play.update(PAYER, alone)
    play.update(VIP, None)

    assert judged(play, PAYER).early_updates == [f"#7 in chat {VIP} (event 2)"]


def test_an_end_that_a_place_never_heard_is_a_lost_update(play: Play) -> None:
    play.post()
    alone = play.opening(PAYER)
    play.update(PAYER, alone)

    assert judged(play, PAYER).lost_updates == [f"the end of #7 was never told in Discord channel {SIGNALS}"]


def test_a_request_in_a_pause_of_discord_is_found(play: Play) -> None:
    route = "/channels/{channel_id}/messages"
    play.add("discord_request_in_pause", method="POST", route=route, since=2.5, left=1.0, scope="user")

    assert judged(play).in_pause == [f"Discord's {route}, 2.5 s into the pause (event 0)"]


# --- doors


def test_who_stays_inside_after_the_paid_time_is_found(play: Play) -> None:
    for user in (PAYER, STRANGER):
        play.member(user)
    play.role(ANN[1])
    until = play.add("stripe_ended", member="1", subscription="sub_1")["n"]
    play.wait(4)
    play.role(ANN[1], has=False)
    play.wait(4)
    play.member(STRANGER, "kicked")
    play.wait(2)
    play.add("tick")
    spans = [checker.Entitlement(one, -1, until) for one in (PAYER, STRANGER, ANN)]

    assert judged(play, *spans).not_paying == [
        f"chat {PAYER} was inside VIP signals for 10.0 s (from event {until})",
        f"chat {STRANGER} was inside VIP signals for 8.0 s (from event {until})",
    ]
    assert judged(play, *spans, rules=checker.Rules(settling=20)).ok


def test_who_pays_again_is_inside_rightly_from_then_on(play: Play) -> None:
    play.member(PAYER)
    until = play.add("stripe_ended", member="1", subscription="sub_1")["n"]
    play.wait(3)
    since = play.add("stripe_paid", member="1", subscription="sub_2")["n"]
    play.wait(600)
    play.add("tick")

    assert judged(play, checker.Entitlement(PAYER, -1, until), checker.Entitlement(PAYER, since)).ok


def test_owners_administrators_and_the_bot_are_inside_without_paying(play: Play) -> None:
    play.member(1)
    play.member(2, "administrator")
    play.role(1)
    play.wait(600)
    play.add("tick")

    assert judged(play).ok


def test_the_role_somewhere_else_opens_nothing_here(play: Play) -> None:
    fields = {"user_id": 29, "role_id": checker_play.ROLE, "inside": True, "has": True, "by": "human"}
    play.add("discord_member", guild_id=1, **fields)
    play.add("discord_member", guild_id=checker_play.GUILD, **(fields | {"role_id": 5}))
    play.member(STRANGER, chat=-555)
    play.wait(600)
    play.add("tick")

    assert judged(play).ok


def test_who_pays_and_gets_no_role_on_the_server_is_kept_out(play: Play) -> None:
    for user in (ANN, BOB, CARL):
        play.server(user[1])
    since = play.add("stripe_paid", member="1", subscription="sub_1")["n"]
    play.wait(2)
    play.role(ANN[1])
    play.wait(30)
    play.add("tick")

    verdict = judged(play, *(checker.Entitlement(one, since) for one in (ANN, BOB)))

    assert verdict.kept_out == [f"Discord chat {BOB[1]} waited outside #signals for 32.0 s (from event {since})"]


def test_who_pays_and_is_turned_away_or_not_answered_is_kept_out(play: Play) -> None:
    for user in (PAYER, OTHER, STRANGER, 13):
        play.add("telegram_join_request", chat_id=VIP, user_id=user, link="")
    play.member(13)
    play.add("telegram_join_declined", chat_id=VIP, user_id=PAYER)
    play.add("telegram_join_declined", chat_id=VIP, user_id=STRANGER)
    play.wait(20)
    play.add("tick")

    assert judged(play, PAYER, OTHER, 13).kept_out == [
        f"chat {PAYER} was turned away from VIP signals (event 5)",
        f"chat {OTHER} waited outside VIP signals for 20.0 s (from event 1)",
    ]


def test_discords_marks_are_not_read() -> None:
    shown = (
        "**▲ Long BTC/USDT** · 1h · \\#7 · *mean\\_reversion* `code` [a link](https://a.b/c) snake_case ~~x~~\n## Head"
    )

    assert discord_text.plain(shown) == "▲ Long BTC/USDT · 1h · #7 · mean_reversion code a link snake_case x\nHead"
