"""Recorded events of several API versions: kept as they would be written today, and truly different in shape."""

import json
from typing import Any

import pytest

from tests.sandbox import stripe_record
from tests.sandbox.stripe_versions import RECORDED

OLD, NEW = RECORDED[:2], RECORDED[2:]


def kept(version: str, kind: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((stripe_record.FOLDER / version / f"{kind}.json").read_text())
    return event


def test_files_are_what_the_recorder_writes() -> None:
    told = dict(stripe_record.recorded())
    assert {path: path.read_text() for path in stripe_record.FOLDER.glob("*/*.json")} == told


@pytest.mark.parametrize("version", RECORDED)
@pytest.mark.parametrize("kind", stripe_record.KINDS)
def test_every_kind_is_recorded_in_every_version(version: str, kind: str) -> None:
    event = kept(version, kind)
    assert (event["api_version"], event["type"], event["livemode"]) == (version, kind, False)


@pytest.mark.parametrize("version", RECORDED)
def test_s15_period_stands_where_the_version_says(version: str) -> None:
    data = kept(version, "customer.subscription.updated")["data"]
    for shown in (data["object"], data["previous_attributes"]):
        (item,) = shown["items"]["data"]
        assert ("current_period_end" in shown) == (version in OLD)
        assert ("current_period_end" in item) == (version in NEW)


@pytest.mark.parametrize("version", RECORDED)
def test_s15_invoice_and_charge_name_what_they_are_for(version: str) -> None:
    invoice = kept(version, "invoice.paid")["data"]["object"]
    assert {"subscription", "payment_intent", "charge", "paid"} & set(invoice) == (
        {"subscription", "payment_intent", "charge", "paid"} if version in OLD else set()
    )
    assert ("parent" in invoice) == (version in NEW)
    line = invoice["lines"]["data"][0]
    assert ("price" in line, "pricing" in line) == (version in OLD, version in NEW)
    charge = kept(version, "charge.refunded")["data"]["object"]
    assert ("invoice" in charge) == (version in OLD)


@pytest.mark.parametrize("version", RECORDED)
def test_promotion_code_holds_its_coupon_until_clover(version: str) -> None:
    code = kept(version, "promotion_code.created")["data"]["object"]
    assert ("promotion" in code) == (version == RECORDED[-1])
    assert ("coupon" in code) == (version != RECORDED[-1])
