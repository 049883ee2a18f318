"""Invoices of the stand-in as they add up: lines, discounts, tax, and the credit that a customer has left."""

from dataclasses import dataclass

from tests.sandbox import stripe_discounts as discounts
from tests.sandbox import stripe_prices as prices
from tests.sandbox import stripe_shapes
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import Obj

blank = stripe_shapes.blank


@dataclass(frozen=True)
class Line:
    """What one line of an invoice asks for: so much for this item from `start` to `end`.

    `credited`: the invoice and lines that a credit gives back. `basis`: what the whole period costs, for later credits.
    """

    item: Obj
    amount: int
    start: int
    end: int
    description: str
    proration: bool = False
    credited: tuple[str, tuple[str, ...]] | None = None
    basis: tuple[int, int, int] | None = None


def share(amount: int, part: int, whole: int) -> int:
    """This part of the amount, rounded half away from zero: nothing is lost by floats."""
    sign = -1 if amount < 0 else 1
    return sign * ((2 * abs(amount) * part + whole) // (2 * whole)) if whole else 0


def full(acc: Account, sub: Obj, item: Obj) -> int:
    """What the item costs for one whole period."""
    return prices.unit(acc, item["price"], sub["currency"]) * int(item["quantity"])


def renewal(acc: Account, sub: Obj, item: Obj) -> Line:
    """The item for its current period; a trial costs nothing."""
    free = sub["status"] == "trialing"
    name = item["price"]["nickname"] or item["price"]["id"]
    text = "Trial period" if free else f"{item['quantity']} × {name}"
    amount = 0 if free else full(acc, sub, item)
    return Line(item, amount, item["current_period_start"], item["current_period_end"], text)


_INVOICE = (
    "account_name account_tax_ids application automatically_finalizes_at custom_fields customer_account"
    " customer_address customer_email customer_name customer_phone customer_shipping default_payment_method"
    " default_source description due_date effective_at ending_balance footer from_invoice hosted_invoice_url"
    " invoice_pdf last_finalization_error latest_revision next_payment_attempt number on_behalf_of receipt_number"
    " rendering shipping_cost shipping_details statement_descriptor test_clock webhooks_delivered_at"
)
_ZERO = (
    "amount_overpaid amount_paid amount_shipping attempt_count post_payment_credit_notes_amount"
    " pre_payment_credit_notes_amount"
)
_EMPTY = "customer_tax_ids default_tax_rates discounts total_discount_amounts total_pretax_credit_amounts total_taxes"


def invoice(acc: Account, sub: Obj, reason: str, lines: list[Line], invoice_id: str = "") -> Obj:
    """A draft that adds up; nothing is stored and nobody's discount is used up."""
    buyer, invoice_id = acc.get("customer", sub["customer"]), invoice_id or acc.new_id("in")
    shown = [_line(acc, invoice_id, sub, line) for line in lines]
    made = (
        blank(_INVOICE, id=invoice_id, object="invoice", account_country="DE", status="draft", livemode=False)
        | dict.fromkeys(_ZERO.split(), 0)
        | {name: [] for name in _EMPTY.split()}
        | dict.fromkeys(("created", "period_start", "period_end"), acc.now())
        | _billed_to(sub, buyer)
        | {
            "attempted": False,
            "auto_advance": True,
            "automatic_tax": blank("disabled_reason liability provider status", enabled=False),
            "billing_reason": reason,
            "issuer": {"type": "self"},
            "lines": {"object": "list", "data": shown, "has_more": False, "url": f"/v1/invoices/{invoice_id}/lines"},
            "metadata": {},
            "payment_settings": blank("default_mandate payment_method_options payment_method_types"),
            "status_transitions": blank("finalized_at marked_uncollectible_at paid_at voided_at"),
        }
    )
    _add_up(acc, sub, made, lines)
    set_due(made, int(buyer["balance"]))
    return made


def _add_up(acc: Account, sub: Obj, made: Obj, lines: list[Line]) -> None:
    subtotal = sum(line.amount for line in lines)
    whole = sum(line.amount for line in lines if not line.proration)
    for discount in discounts.active(acc, sub):
        off = discounts.reduction(acc, discount["source"]["coupon"], whole, sub["currency"])
        whole -= off
        made["discounts"].append(discount["id"])
        made["total_discount_amounts"].append({"amount": off, "discount": discount["id"]})
    net = subtotal - sum(row["amount"] for row in made["total_discount_amounts"])
    tax = acc.tax_on(net) if sub["automatic_tax"]["enabled"] else 0
    if sub["automatic_tax"]["enabled"]:
        made["automatic_tax"].update(enabled=True, provider="stripe", status="complete")
    if tax:
        made["total_taxes"] = [_tax(net, tax)]
    made.update(subtotal=subtotal, subtotal_excluding_tax=subtotal, total=net + tax, total_excluding_tax=net)


def _tax(taxable: int, amount: int) -> Obj:
    return {
        "amount": amount,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": "txr_sandbox"},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def set_due(made: Obj, balance: int) -> None:
    """What is to be paid after the customer's balance; a negative one is credit, a negative total makes more of it."""
    due = max(0, made["total"] + balance)
    made.update(starting_balance=balance, amount_due=due, amount_remaining=due)


def balance_after(made: Obj) -> int:
    """What is left of the customer's balance once this invoice is final."""
    return min(0, int(made["total"]) + int(made["starting_balance"]))


def _billed_to(sub: Obj, buyer: Obj) -> Obj:
    return {
        "collection_method": "charge_automatically",
        "currency": sub["currency"],
        "customer": sub["customer"],
        "customer_email": buyer["email"],
        "customer_name": buyer["name"],
        "customer_tax_exempt": "none",
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": dict(sub["metadata"]), "subscription": sub["id"]},
            "type": "subscription_details",
        },
    }


def _line(acc: Account, invoice_id: str, sub: Obj, line: Line) -> Obj:
    item, price = line.item, line.item["price"]
    return {
        "id": acc.new_id("il"),
        "object": "line_item",
        "amount": line.amount,
        "currency": sub["currency"],
        "description": line.description,
        "discount_amounts": [],
        "discountable": not line.proration,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": dict(sub["metadata"]),
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": _of_item(acc, sub, line),
            "type": "subscription_item_details",
        },
        "period": {"end": line.end, "start": line.start},
        "pretax_credit_amounts": [],
        "pricing": _pricing(acc, price, sub["currency"]),
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": sub["id"],
        "subtotal": line.amount,
        "taxes": [],
    }


def _of_item(acc: Account, sub: Obj, line: Line) -> Obj:
    details: Obj | None = None
    if line.proration:
        items = line.credited and {"invoice": line.credited[0], "invoice_line_items": list(line.credited[1])}
        details = {"credited_items": items}
    return {
        "invoice_item": acc.new_id("ii") if line.proration else None,
        "proration": line.proration,
        "proration_details": details,
        "subscription": sub["id"],
        "subscription_item": line.item["id"],
    }


def _pricing(acc: Account, price: Obj, currency: str) -> Obj:
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": str(prices.unit(acc, price, currency)),
    }


def invoice_payment(acc: Account, bill: Obj, intent: Obj) -> Obj:
    return {
        "id": acc.new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": bill["amount_due"],
        "created": acc.now(),
        "currency": bill["currency"],
        "invoice": bill["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
