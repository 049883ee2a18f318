"""Short doses of the storm of events and of the pass over many subscriptions; the long ones are `make prove`."""

from tests.proofs import reconcile, storm


async def test_storm_of_events_ends_in_what_is_paid(postgres_url: str) -> None:
    outcome = await storm.prove(postgres_url, storm.Scale(events=150, waves=3, seed=3))
    assert outcome.ok, str(outcome)
    assert outcome.lost > 0
    assert outcome.doubled > 0


async def test_s21_one_pass_puts_everything_right_although_no_webhook_ever_came(postgres_url: str) -> None:
    outcome = await reconcile.prove(postgres_url, reconcile.Scale(subscriptions=60, share=0.4))
    assert outcome.ok, str(outcome)
    assert outcome.first.wrong_before == 60
    assert outcome.second.wrong_before > 0
    assert outcome.third.wrong_before == 0
