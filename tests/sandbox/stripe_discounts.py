"""Coupons and promotion codes of the stand-in: which may be used, and what they take off."""

from typing import Any

from tests.sandbox import stripe_money
from tests.sandbox import stripe_periods as periods
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj


def reduction(acc: Account, coupon_id: str, amount: int, currency: str = "") -> int:
    """How much of the amount (smallest unit of the currency) the coupon takes off; of less than nothing, nothing."""
    coupon = acc.get("coupon", coupon_id, "coupon")
    if coupon["percent_off"] is not None:
        return max(0, round(amount * float(coupon["percent_off"]) / 100))
    off = acc.secret(coupon_id).get("options", {}).get(currency, coupon["amount_off"] or 0)
    return max(0, min(amount, int(off)))


def active(acc: Account, sub: Obj) -> list[Obj]:
    """The subscription's discounts that count now."""
    held = [acc.get("discount", one) for one in sub["discounts"]]
    return [row for row in held if row["end"] is None or row["end"] > acc.now()]


def net(acc: Account, sub: Obj, amount: int) -> int:
    """The amount less all discounts that count now."""
    for row in active(acc, sub):
        amount -= reduction(acc, row["source"]["coupon"], amount, sub["currency"])
    return amount


def use_up(acc: Account, sub: Obj) -> None:
    """An invoice was made: discounts that were for one, or that are over, are gone from the subscription."""
    held = active(acc, sub)
    forever = [row["id"] for row in held if acc.get("coupon", row["source"]["coupon"])["duration"] != "once"]
    if forever != sub["discounts"]:
        sub["discounts"] = forever


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
    if not (code["active"] and coupon["valid"] and theirs and _left(acc, code) and _left(acc, coupon)):
        return False
    known = {coupon["currency"], *acc.secret(coupon["id"]).get("options", {})}
    if coupon["amount_off"] and session["currency"] not in known:
        return False
    return not (code["restrictions"]["first_time_transaction"] and _bought_before(acc, session["customer"]))


def _bought_before(acc: Account, customer: str | None) -> bool:
    """Stripe counts a paid invoice of nothing, such as a trial's, as well."""
    if customer is None:
        return False
    charged, billed = acc.having("charge", "customer", customer), acc.having("invoice", "customer", customer)
    return any(row["paid"] for row in charged) or any(row["status"] == "paid" for row in billed)


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
    session["total_details"]["amount_discount"] = reduction(
        acc, coupon, session["amount_subtotal"], session["currency"]
    )
    add_up(acc, session)
    session["discounts"] = [{"coupon": None if code else coupon, "promotion_code": code}]


def add_up(acc: Account, session: Obj) -> None:
    """The session's total is what is left after its discount, with tax if it is counted."""
    left = session["amount_subtotal"] - session["total_details"]["amount_discount"]
    tax = acc.tax_on(left) if session["automatic_tax"]["enabled"] else 0
    session["total_details"]["amount_tax"] = tax
    session["amount_total"] = left + tax


def again(acc: Account, session: Obj) -> None:
    """The session's discount, if it has one, is counted anew: its subtotal is another."""
    for applied in session["discounts"]:
        code = acc.get("promotion_code", applied["promotion_code"]) if applied["promotion_code"] else None
        coupon = code["promotion"]["coupon"] if code else applied["coupon"]
        _take_off(acc, session, coupon, applied["promotion_code"])
    add_up(acc, session)


def count_use(acc: Account, session: Obj) -> list[tuple[Obj, Obj]]:
    """The coupons and codes of the session count one use more; gives each with its coupon."""
    used = []
    for applied in session["discounts"]:
        code = acc.get("promotion_code", applied["promotion_code"]) if applied["promotion_code"] else None
        coupon = acc.get("coupon", code["promotion"]["coupon"] if code else applied["coupon"])
        for row in (coupon, code):
            if row:
                row["times_redeemed"] += 1
        used.append((applied, coupon))
    return used


def grant(acc: Account, session: Obj, sub: Obj) -> None:
    """The subscription has the discounts of its session, and their codes count one use more."""
    for applied, coupon in count_use(acc, session):
        months = coupon["duration_in_months"]
        until = periods.later(acc.now(), "month", int(months)) if months else None
        fields: Obj = {"customer": sub["customer"], "subscription": sub["id"], "end": until}
        fields |= {"checkout_session": session["id"], "promotion_code": applied["promotion_code"]}
        sub["discounts"].append(acc.add(stripe_money.discount(acc, coupon["id"], **fields))["id"])
