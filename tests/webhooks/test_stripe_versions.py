"""Recorded events of several API versions: each is understood, and each is worked off."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.webhooks.conftest import World
from webhooks import payments
from webhooks.payments import stripe_objects

FOLDER = Path(__file__).parents[1] / "data" / "stripe_events"
VERSIONS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
FILES = sorted(FOLDER.glob("*/*.json"))


def event(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_s14_events_of_at_least_three_versions_are_recorded() -> None:
    assert len(VERSIONS) >= 3
    kinds = [{path.name for path in FILES if path.parent.name == version} for version in VERSIONS]
    assert all(len(one) >= 10 and one == kinds[0] for one in kinds)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_s14_s15_event_of_every_version_says_where_to_look(path: Path) -> None:
    said = event(path)
    obj = said["data"]["object"]
    subject = stripe_objects.subject(said["type"], path.read_bytes())
    if said["type"].startswith("customer.subscription."):
        assert subject == payments.Subject(subscription=obj["id"])
    elif said["type"].startswith("checkout.session."):
        assert subject == payments.Subject(session=obj["id"])
    elif said["type"].startswith("invoice."):
        assert subject.subscription.startswith("sub_")
    elif said["type"].startswith("charge."):
        assert subject.claims == (obj["payment_intent"],)
        assert subject.invoice.startswith("in_") or subject.payment == obj["payment_intent"]
    else:
        assert not subject


@pytest.mark.parametrize("version", VERSIONS)
async def test_s14_recorded_events_about_what_stripe_does_not_know_do_no_harm(world: World, version: str) -> None:
    for path in sorted((FOLDER / version).glob("*.json")):
        said = event(path)
        await world.here.tray.put("stripe", said["id"], said["type"], path.read_bytes())
    await world.settle()
    assert {row.state for row in await world.inbox()} == {"done"}
    assert await world.alarms() == set()
