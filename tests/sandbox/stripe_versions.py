"""Older shapes of the stand-in's objects: what Stripe's API versions moved or renamed, turned back.

Fields that were only added since are left in: Stripe shows those to every version, too.
"""

from collections.abc import Callable
from typing import Any

from tests.sandbox.stripe_account import CURRENT_VERSION, Account
from tests.sandbox.stripe_wire import Obj, copied

BASIL = "2025-03-31"
CLOVER = "2025-09-30"
RECORDED = ("2024-06-20", "2025-02-24.acacia", "2025-03-31.basil", CURRENT_VERSION)
"""Versions of which recorded events are kept: two before the periods moved to the items, and two after."""


def in_version(value: Any, version: str, acc: Account) -> Any:
    """The value in the shape of this API version: a copy, unless nothing differs."""
    if version[:10] >= CLOVER:
        return value
    return _turned(value, version[:10], acc)


def _turned(value: Any, date: str, acc: Account) -> Any:
    if isinstance(value, list):
        return [_turned(item, date, acc) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _turned(item, date, acc) for key, item in value.items()}
    kind = str(result.get("object"))
    for before, changes in ((CLOVER, _BEFORE_CLOVER), (BASIL, _BEFORE_BASIL)):
        if date < before and kind in changes:
            changes[kind](result, acc)
    items = ((result.get("previous_attributes") or {}).get("items") or {}).get("data")
    if items and date < BASIL:
        _lift_periods(result["previous_attributes"], items)
    return result


# --- before 2025-09-30.clover: discounts and codes hold their coupon


def _coupon(acc: Account, coupon_id: Any) -> Any:
    return copied(acc.tables.get("coupon", {}).get(coupon_id, coupon_id)) if isinstance(coupon_id, str) else coupon_id


def _old_discount(discount: Obj, acc: Account) -> None:
    discount["coupon"] = _coupon(acc, discount.pop("source")["coupon"])


def _old_code(code: Obj, acc: Account) -> None:
    code["coupon"] = _coupon(acc, code.pop("promotion")["coupon"])


_BEFORE_CLOVER: dict[str, Callable[[Obj, Account], None]] = {"discount": _old_discount, "promotion_code": _old_code}


# --- before 2025-03-31.basil: the subscription has the period, the invoice names what it is for


def _old_subscription(sub: Obj, acc: Account) -> None:
    _lift_periods(sub, sub["items"]["data"])
    sub["discount"] = None


def _lift_periods(target: Obj, items: list[Obj]) -> None:
    target["current_period_end"] = max((item.pop("_end") for item in items), default=None)
    target["current_period_start"] = max((item.pop("_start") for item in items), default=None)


def _old_item(item: Obj, acc: Account) -> None:
    item["_end"], item["_start"] = item.pop("current_period_end", None), item.pop("current_period_start", None)


def _old_invoice(invoice: Obj, acc: Account) -> None:
    details = (invoice.pop("parent", None) or {}).get("subscription_details") or {}
    payment = acc.find(acc.secret(invoice["id"]).get("payment", ""))
    paying = payment["payment"]["payment_intent"] if payment else None
    intent = acc.find(paying) if paying else None
    invoice.update(subscription=details.get("subscription"), subscription_details={"metadata": details.get("metadata")})
    invoice.update(payment_intent=paying, charge=intent["latest_charge"] if intent else None)
    taxes = invoice.pop("total_taxes", [])
    invoice["tax"] = sum(tax["amount"] for tax in taxes) or None
    invoice["total_tax_amounts"] = [
        {"amount": t["amount"], "inclusive": False, "tax_rate": t["tax_rate_details"]["tax_rate"]} for t in taxes
    ]
    invoice.update(paid=invoice["status"] == "paid", paid_out_of_band=False, discount=None, quote=None)


def _old_line(line: Obj, acc: Account) -> None:
    details = (line.pop("parent", None) or {}).get("subscription_item_details") or {}
    pricing = (line.pop("pricing", None) or {}).get("price_details") or {}
    price = acc.tables.get("price", {}).get(pricing.get("price", ""))
    line.update(type="invoiceitem" if details.get("proration") else "subscription", price=copied(price), tax_rates=[])
    line.update({name: details.get(name) for name in ("subscription_item", "invoice_item", "proration")})
    line["proration_details"] = details.get("proration_details") or {"credited_items": None}
    line.update(amount_excluding_tax=line["amount"], tax_amounts=line.pop("taxes", []))


def _old_money(charge: Obj, acc: Account) -> None:
    intent = charge["id"] if charge["object"] == "payment_intent" else charge["payment_intent"]
    charge["invoice"] = acc.secret(intent).get("invoice")


_BEFORE_BASIL: dict[str, Callable[[Obj, Account], None]] = {
    "subscription": _old_subscription,
    "subscription_item": _old_item,
    "invoice": _old_invoice,
    "line_item": _old_line,
    "charge": _old_money,
    "payment_intent": _old_money,
}
