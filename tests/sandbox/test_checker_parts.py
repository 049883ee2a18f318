"""How the checker judges targets on the way: who must hear of them, once, before the end."""

import pytest

from tests.sandbox.checker_play import OTHER, PAYER, Play


@pytest.fixture
def play() -> Play:
    made = Play()
    made.candle()
    return made


def part(play: Play, chat: int, reply_to: int | None, number: int = 1) -> int:
    words = f"◐ Target {number} of 2 hit · BTC/USDT long · 1h · #7\n50 % out at 27 800.00"
    return play.text(chat, words, reply_to=reply_to)


def test_targets_on_the_way_and_the_end_are_a_good_history(play: Play) -> None:
    opened = {chat: play.opening(chat) for chat in (PAYER, OTHER)}
    for chat, opening in opened.items():
        part(play, chat, opening)
    for chat, opening in opened.items():
        play.update(chat, opening)
    assert play.judged().ok


def test_a_target_that_was_told_to_others_only_is_a_lost_update(play: Play) -> None:
    opened = [play.opening(chat) for chat in (PAYER, OTHER)]
    part(play, PAYER, opened[0])
    assert play.judged().lost_updates == [f"“◐ Target 1 of 2” of #7 was never told in chat {OTHER}"]


def test_whoever_got_the_opening_after_a_target_is_owed_the_rest_only(play: Play) -> None:
    part(play, PAYER, play.opening(PAYER))
    play.opening(OTHER, mark=" (still open)")
    assert play.judged().ok


def test_a_target_told_twice_is_too_many(play: Play) -> None:
    opening = play.opening(PAYER)
    for _ in range(2):
        part(play, PAYER, opening)
    assert play.judged(PAYER).too_many == [f"2 copies of “◐ Target 1 of 2” of #7 in chat {PAYER}"]


def test_two_targets_are_two_messages(play: Play) -> None:
    opening = play.opening(PAYER)
    for number in (1, 2):
        part(play, PAYER, opening, number)
    assert play.judged(PAYER).ok


def test_a_target_after_the_end_is_out_of_order(play: Play) -> None:
    opening = play.opening(PAYER)
    play.update(PAYER, opening)
    part(play, PAYER, opening)
    assert play.judged(PAYER).early_updates == [f"#7 in chat {PAYER}: a target after the end"]


def test_a_target_that_answers_no_opening_is_out_of_order(play: Play) -> None:
    play.opening(PAYER)
    part(play, PAYER, None)
    assert len(play.judged(PAYER).early_updates) == 1


def test_an_end_after_a_target_is_read_as_an_end(play: Play) -> None:
    opening = play.opening(PAYER)
    part(play, PAYER, opening)
    play.text(PAYER, "✕ Stopped after target 1 of 2 · BTC/USDT long · 1h · #7\n+0.40 %", reply_to=opening)
    verdict = play.judged(PAYER)
    assert (verdict.ok, verdict.updates) == (True, 1)
