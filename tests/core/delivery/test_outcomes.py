"""The one table that decides what follows an attempt."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.delivery import outcomes
from core.delivery.outcomes import Ambiguous, Attempt, Blocked, Fatal, Moved, NotSent, Refused, Sent
from core.models import State

NOW = datetime.fromisoformat("2026-01-15T12:00:00+00:00")
KINDS = ("opening", "notice", "update", "reply")
RESENT = ("opening", "notice")


def step(outcome: outcomes.Outcome, kind: str = "opening", **so_far: int) -> outcomes.Step:
    attempt = Attempt(kind, so_far.get("attempts", 0), so_far.get("ambiguities", 0), bool(so_far.get("plain", 0)))
    return outcomes.next_step(outcome, attempt, now=NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_sent_is_sent(kind: str) -> None:
    assert step(Sent("7"), kind).state is State.SENT
    assert step(Sent("7"), kind, attempts=999).state is State.SENT


@pytest.mark.parametrize("kind", RESENT)
def test_t01_timeout_after_store_is_ambiguous_and_resent_once(kind: str) -> None:
    first = step(Ambiguous("no answer"), kind)
    assert (first.state, first.ambiguities, first.not_before) == (State.PENDING, 1, NOW)
    second = step(Ambiguous("no answer"), kind, attempts=1, ambiguities=1)
    assert (second.state, second.ambiguities, second.reason) == (State.AMBIGUOUS, 2, "no answer")


@pytest.mark.parametrize("kind", ["update", "reply", "summary"])
def test_t01_updates_and_replies_are_never_resent_after_ambiguity(kind: str) -> None:
    assert step(Ambiguous("no answer"), kind).state is State.AMBIGUOUS


def test_t02_what_was_not_sent_is_tried_again_with_growing_pauses() -> None:
    pauses = []
    for attempts in range(12):
        after = step(NotSent("no connection"), attempts=attempts)
        assert (after.state, after.attempts, after.ambiguities) == (State.PENDING, attempts + 1, 0)
        assert after.not_before is not None
        pauses.append((after.not_before - NOW).total_seconds())
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert pauses[-2:] == [120, 120]


def test_q04_a_poison_row_is_a_dead_letter_after_the_last_attempt() -> None:
    last = step(NotSent("no connection"), attempts=outcomes.MAX_ATTEMPTS - 1)
    assert (last.state, last.attempts) == (State.DEAD, outcomes.MAX_ATTEMPTS)
    assert last.reason == f"given up after {outcomes.MAX_ATTEMPTS} attempts: no connection"
    assert step(Ambiguous("no answer"), attempts=outcomes.MAX_ATTEMPTS - 1).state is State.DEAD


def test_t04_a_refused_text_is_tried_once_without_formatting() -> None:
    first = step(Refused("can't parse entities"))
    assert (first.state, first.plain) == (State.PENDING, True)
    assert step(Refused("can't parse entities"), plain=1).state is State.DEAD


@pytest.mark.parametrize("kind", KINDS)
def test_t05_a_blocked_chat_ends_the_delivery(kind: str) -> None:
    assert step(Blocked("bot was blocked by the user"), kind).state is State.BLOCKED


def test_t06_a_moved_chat_is_tried_again_at_once_however_hard_the_way_was() -> None:
    for attempts in (0, 1, 3, 10):
        moved = step(Moved("-100"), attempts=attempts)
        assert (moved.state, moved.not_before) == (State.PENDING, NOW)
    assert step(Moved("-100"), attempts=outcomes.MAX_ATTEMPTS - 1).state is State.DEAD


def test_t07_a_flood_pause_costs_time_and_no_attempt() -> None:
    paused = step(NotSent("flood", after=17, pause="all"), attempts=3)
    assert (paused.state, paused.attempts, paused.not_before) == (State.PENDING, 3, NOW + timedelta(seconds=17))
    assert step(NotSent("flood", after=17), attempts=outcomes.MAX_ATTEMPTS - 1).state is State.PENDING


def test_t07_a_flood_pause_of_no_time_costs_an_attempt() -> None:
    assert step(NotSent("flood", after=0), attempts=3).attempts == 4
    assert step(NotSent("flood", after=1e-9), attempts=3).attempts == 4
    assert step(NotSent("flood", after=0), attempts=outcomes.MAX_ATTEMPTS - 1).state is State.DEAD


def test_a_wrong_token_blames_no_message() -> None:
    waiting = step(Fatal("401"), attempts=5)
    assert (waiting.state, waiting.attempts, waiting.not_before) == (State.PENDING, 5, NOW + timedelta(seconds=60))


OUTCOMES = st.one_of(
    st.just(Sent("7")),
    st.builds(NotSent, st.just("x"), st.one_of(st.none(), st.floats(0, 900))),
    st.just(Ambiguous("x")),
    st.just(Refused("x")),
    st.just(Blocked("x")),
    st.just(Moved("9")),
    st.just(Fatal("x")),
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(KINDS), st.lists(OUTCOMES, min_size=1, max_size=150))
def test_q04_any_story_ends_with_at_most_two_copies_and_the_capped_attempts(
    kind: str, story: list[outcomes.Outcome]
) -> None:
    attempt, at, copies = Attempt(kind, 0, 0, False), NOW, 0
    for outcome in story:
        copies += isinstance(outcome, Sent | Ambiguous)  # at worst, every unknown one lies in the chat
        after = outcomes.next_step(outcome, attempt, now=at)
        assert after.attempts <= outcomes.MAX_ATTEMPTS
        assert after.ambiguities >= copies - isinstance(outcome, Sent)
        if after.state is not State.PENDING:
            break
        # So it comes nearer to its end: by the cap, or by the moment after which nobody sends it.
        assert after.not_before is not None
        assert after.attempts > attempt.attempts or after.not_before >= at + timedelta(seconds=1)
        attempt, at = Attempt(kind, after.attempts, after.ambiguities, after.plain), after.not_before
    assert copies <= (2 if kind in RESENT else 1)


def test_where_a_repeat_is_harmless_it_is_sent_until_the_end_is_clear() -> None:
    for kind in (*KINDS, "door"):
        again = step(Ambiguous("no answer", harmless=True), kind, ambiguities=3, attempts=2)
        assert (again.state, again.ambiguities, again.attempts) == (State.PENDING, 4, 3)
        assert again.not_before is not None
        assert NOW < again.not_before < NOW + timedelta(seconds=30)
    last = step(Ambiguous("x", harmless=True), "update", attempts=outcomes.MAX_ATTEMPTS - 1)
    assert last.state is State.DEAD


def test_an_act_at_a_door_is_never_ambiguous_for_good() -> None:
    assert step(Ambiguous("no answer"), "door", ambiguities=5).state is State.PENDING


def test_a_place_that_bars_us_keeps_its_posts_waiting_and_ends_its_acts() -> None:
    post = step(outcomes.Barred("no right"), "opening", attempts=4)
    assert (post.state, post.attempts, post.not_before) == (State.PENDING, 4, NOW + timedelta(seconds=60))
    act = step(outcomes.Barred("no right"), "door")
    assert (act.state, act.reason) == (State.DEAD, "no right")


def test_who_is_kept_ends_the_act_and_a_refusal_needs_no_second_try() -> None:
    kept = step(outcomes.Kept("the owner"), "door")
    assert (kept.state, kept.reason) == (State.EXPIRED, "the owner")
    assert step(Refused("bad"), "door").state is State.DEAD


def test_an_answer_that_nobody_can_see_any_more_is_over_and_blames_nobody() -> None:
    gone = step(outcomes.Gone("the question is forgotten"), "reply")
    assert (gone.state, gone.reason) == (State.EXPIRED, "the question is forgotten")
