"""Coupons and promotion codes of the stand-in: which may be used, and what they take off."""

from typing import Any

from tests.sandbox import stripe_money
from tests.sandbox import stripe_periods as periods
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj


def reduction(acc: Account, coupon_id: str, amount: int) -> int:
    """How much of the amount (smallest unit of the currency) the coupon takes off."""
    coupon = acc.get("coupon", coupon_id, "coupon")
    if coupon["percent_off"] is not None:
        return round(amount * float(coupon["percent_off"]) / 100)
    return min(amount, int(coupon["amount_off"] or 0))


def check_code(acc: Account, session: Obj, typed: str) -> Obj:
    """The promotion code that this text names and that may be used now, or ApiError 400 promotion_code_invalid."""
    code = next((c for c in acc.all("promotion_code") if c["code"].lower() == typed.strip().lower()), None)
    if code is None or not _usable(acc, code, session):
        raise ApiError(400, "This code is invalid.", code="promotion_code_invalid", param="promotion_code")
    floor = code["restrictions"]["minimum_amount"]
    if floor and session["amount_subtotal"] < floor:
        raise ApiError(400, "This order is too small for the code.", code="promotion_code_invalid")
    return code


def _usable(acc: Account, code: Obj, session: Obj) -> bool:
    coupon = acc.get("coupon", code["promotion"]["coupon"])
    theirs = code["customer"] in (None, session["customer"])
    return code["active"] and coupon["valid"] and theirs and _left(acc, code) and _left(acc, coupon)


def _left(acc: Account, row: Obj) -> bool:
    until: Any = row.get("expires_at") or row.get("redeem_by")
    limit = row["max_redemptions"]
    return (until is None or until > acc.now()) and (limit is None or row["times_redeemed"] < limit)


def preset(acc: Account, session: Obj, wanted: Obj) -> None:
    """The session was opened with this coupon or promotion code."""
    if wanted.get("promotion_code"):
        code = acc.get("promotion_code", wanted["promotion_code"], "discounts", 400)
        apply_code(acc, session, code["code"])
    elif wanted.get("coupon"):
        coupon = acc.get("coupon", wanted["coupon"], "discounts", 400)
        _take_off(acc, session, coupon["id"], None)


def apply_code(acc: Account, session: Obj, typed: str) -> None:
    """The typed promotion code reduces the session's total, in the place of any earlier one, or ApiError 400."""
    code = check_code(acc, session, typed)
    _take_off(acc, session, code["promotion"]["coupon"], code["id"])


def _take_off(acc: Account, session: Obj, coupon: str, code: str | None) -> None:
    off = reduction(acc, coupon, session["amount_subtotal"])
    session["amount_total"] = session["amount_subtotal"] - off
    session["total_details"]["amount_discount"] = off
    session["discounts"] = [{"coupon": None if code else coupon, "promotion_code": code}]


def grant(acc: Account, session: Obj, sub: Obj) -> None:
    """The subscription has the discounts of its session, and their codes count one use more."""
    for applied in session["discounts"]:
        code = acc.get("promotion_code", applied["promotion_code"]) if applied["promotion_code"] else None
        coupon = acc.get("coupon", code["promotion"]["coupon"] if code else applied["coupon"])
        for row in (coupon, code):
            if row:
                row["times_redeemed"] += 1
        months = coupon["duration_in_months"]
        until = periods.later(acc.now(), "month", int(months)) if months else None
        fields: Obj = {"customer": sub["customer"], "subscription": sub["id"], "end": until}
        fields |= {"checkout_session": session["id"], "promotion_code": applied["promotion_code"]}
        sub["discounts"].append(acc.add(stripe_money.discount(acc, coupon["id"], **fields))["id"])
