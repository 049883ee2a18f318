"""The pure rule that turns what the provider says into access."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import catalogue
from core.billing import subscriptions
from core.billing.subscriptions import Snapshot, access_until

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 2, 1, tzinfo=UTC)
READ = datetime(2026, 1, 15, tzinfo=UTC)
DAY = timedelta(days=1)
KEEPS = catalogue.Policy(paused_collection_keeps_access=True)
STRICT = catalogue.Policy()
KNOWN = ("active", "trialing", "past_due", "canceled", "unpaid", "incomplete", "incomplete_expired", "paused")


def snapshot(**fields: Any) -> Snapshot:
    values: dict[str, Any] = {
        "provider": "stripe",
        "external_id": "sub_1",
        "customer_id": "cus_1",
        "member_id": None,
        "price_id": "price_1",
        "status": "active",
        "period_start": START,
        "period_end": END,
        "cancel_at_period_end": False,
        "cancel_at": None,
        "ended_at": None,
        "trial_end": None,
        "collection_paused": False,
        "hold": "",
        "created_at": START,
        "read_at": READ,
        **fields,
    }
    return Snapshot(**values)


@pytest.mark.parametrize(
    ("fields", "until"),
    [
        ({}, END + 3 * DAY),
        ({"status": "trialing"}, END + 3 * DAY),
        ({"cancel_at_period_end": True}, END),
        ({"cancel_at": END - 2 * DAY}, END - 2 * DAY),
        ({"cancel_at": END + DAY, "cancel_at_period_end": True}, END),
        ({"cancel_at": END + 90 * DAY}, END + 3 * DAY),
        ({"period_end": None}, READ + 3 * DAY),
        ({"period_end": None, "status": "trialing", "trial_end": END}, END + 3 * DAY),
        ({"period_end": None, "cancel_at_period_end": True}, READ + 3 * DAY),
        ({"status": "past_due"}, START + 3 * DAY),
        ({"status": "past_due", "cancel_at": START + DAY}, START + DAY),
        ({"status": "past_due", "period_start": None}, READ + 3 * DAY),
        ({"collection_paused": True}, None),
        ({"hold": "refunded"}, None),
        ({"hold": "disputed"}, None),
        ({"hold": "pending"}, None),
        ({"status": "canceled", "ended_at": END}, None),
        ({"status": "unpaid"}, None),
        ({"status": "incomplete"}, None),
        ({"status": "incomplete_expired"}, None),
        ({"status": "paused"}, None),
        ({"status": "brand_new"}, None),
        ({"status": ""}, None),
    ],
)
def test_s17_s18_table_of_states(fields: dict[str, Any], until: datetime | None) -> None:
    assert access_until(snapshot(**fields), grace_days=3, policy=STRICT) == until


def test_s17_paused_collection_keeps_access_where_the_policy_says_so() -> None:
    assert access_until(snapshot(collection_paused=True), grace_days=3, policy=KEEPS) == END + 3 * DAY


def test_s15_missing_end_is_neither_expired_nor_for_ever() -> None:
    assert access_until(snapshot(period_end=None), grace_days=0, policy=STRICT) == READ + DAY
    assert access_until(snapshot(period_end=None), grace_days=7, policy=STRICT) == READ + 7 * DAY


moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware
snapshots = st.builds(
    snapshot,
    status=st.one_of(st.sampled_from(KNOWN), st.text(max_size=12)),
    period_start=st.none() | moments,
    period_end=st.none() | moments,
    cancel_at_period_end=st.booleans(),
    cancel_at=st.none() | moments,
    ended_at=st.none() | moments,
    trial_end=st.none() | moments,
    collection_paused=st.booleans(),
    hold=st.sampled_from(["", "", "", "refunded", "disputed", "pending"]),
    read_at=moments,
)
policies = st.builds(catalogue.Policy, paused_collection_keeps_access=st.booleans())
graces = st.integers(0, 60)


@given(snapshots, graces, graces, policies)
def test_more_grace_never_means_less_access(said: Snapshot, one: int, other: int, policy: catalogue.Policy) -> None:
    less = access_until(said, grace_days=min(one, other), policy=policy)
    more = access_until(said, grace_days=max(one, other), policy=policy)
    assert (less is None) == (more is None)
    assert less is None or more is None or less <= more


@given(snapshots, graces, policies)
def test_access_never_reaches_beyond_the_period_and_the_grace(
    said: Snapshot, grace: int, policy: catalogue.Policy
) -> None:
    until = access_until(said, grace_days=grace, policy=policy)
    if until is None:
        return
    bounds = [said.period_start if said.status == "past_due" else said.period_end, said.trial_end, said.read_at]
    assert until <= max(bound for bound in bounds if bound is not None) + max(grace * DAY, DAY)
    if said.period_end is not None and said.status != "past_due":
        assert until <= said.period_end + grace * DAY
        if said.cancel_at_period_end:
            assert until <= said.period_end
    if said.cancel_at is not None:
        assert until <= said.cancel_at


@given(snapshots, graces, policies)
def test_access_needs_a_known_paying_state_and_no_hold(said: Snapshot, grace: int, policy: catalogue.Policy) -> None:
    if access_until(said, grace_days=grace, policy=policy) is not None:
        assert said.status in subscriptions.LIVE
        assert not said.hold
        assert policy.paused_collection_keeps_access or not said.collection_paused


@given(snapshots)
def test_snapshot_survives_being_stored_as_json(said: Snapshot) -> None:
    import orjson

    stored = orjson.loads(orjson.dumps(said.as_dict()))
    assert stored["period_end"] == (said.period_end.isoformat() if said.period_end else None)
    assert stored["status"] == said.status
