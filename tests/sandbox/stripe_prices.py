"""Prices of the stand-in: made, found by their currency, and multiplied by how many are bought."""

from typing import Any

from tests.sandbox import stripe_shapes
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj, merge_metadata, need, truth, whole


def unit(acc: Account, price: Obj, currency: str, param: str = "currency") -> int:
    """What one costs in this currency, or ApiError 400 when the price has no such currency."""
    found = options(acc, price).get(currency.lower())
    if found is None:
        message = f"The price `{price['id']}` is not available in the currency `{currency}`."
        raise ApiError(400, message, param=param)
    return int(found["unit_amount"])


def options(acc: Account, price: Obj) -> Obj:
    """The price in each of its currencies, as `expand[]=currency_options` shows it."""
    own = {"custom_unit_amount": None, "tax_behavior": price["tax_behavior"], "unit_amount": price["unit_amount"]}
    own["unit_amount_decimal"] = price["unit_amount_decimal"]
    return {price["currency"]: own, **acc.secret(price["id"]).get("options", {})}


def set_options(acc: Account, price: Obj, wanted: Any) -> None:
    """The price also has these currencies."""
    for currency, option in (wanted or {}).items():
        amount = option if isinstance(option, int) else whole(option, "unit_amount")
        shown = {"custom_unit_amount": None, "tax_behavior": price["tax_behavior"], "unit_amount": amount}
        shown["unit_amount_decimal"] = str(amount)
        acc.secret(price["id"]).setdefault("options", {})[currency.lower()] = shown


def add_product(acc: Account, params: Obj) -> Obj:
    """A product of this name stands in the account."""
    need(params, "name")
    if params.get("id") in acc.tables.get("product", {}):
        raise ApiError(400, "Product already exists.", code="resource_already_exists", param="id")
    product = stripe_shapes.product(acc, params["name"], id=params.get("id"), active=truth(params, "active", True))
    for name in {"description", "statement_descriptor", "tax_code", "unit_label", "url", "images"} & set(params):
        product[name] = params[name] or None
    merge_metadata(product, params)
    acc.add(product)
    acc.emit("product.created", product)
    return product


def add(acc: Account, params: Obj) -> Obj:
    """A price stands in the account; a lookup key is unique unless `transfer_lookup_key` takes it from another."""
    need(params, "currency")
    if params.get("product_data"):
        params = {**params, "product": add_product(acc, params["product_data"])["id"]}
    need(params, "product")
    acc.get("product", params["product"], "product", 400)
    amount = whole(params, "unit_amount")
    if amount is None:
        message = "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set."
        raise ApiError(400, message, param="unit_amount")
    claim_lookup_key(acc, params)
    fields = {name: params.get(name) or None for name in ("lookup_key", "nickname", "tax_behavior")}
    cycle = params.get("recurring")
    price = stripe_shapes.price(acc, params["product"], amount, params["currency"], cycle, **fields)
    price["active"] = truth(params, "active", True)
    merge_metadata(price, params)
    set_options(acc, acc.add(price), params.get("currency_options"))
    acc.emit("price.created", price)
    return price


def claim_lookup_key(acc: Account, params: Obj) -> None:
    """The lookup key is free, or was taken from its holder as asked, or ApiError 400."""
    wanted = params.get("lookup_key")
    holder = next((row for row in acc.all("price") if wanted and row["lookup_key"] == wanted), None)
    if holder is None:
        return
    if not truth(params, "transfer_lookup_key"):
        message = f"A price (`{holder['id']}`) already uses that lookup key."
        raise ApiError(400, message, code="resource_already_exists", param="lookup_key")
    with acc.changing(holder, "price.updated"):
        holder["lookup_key"] = None


def change(acc: Account, price: Obj, params: Obj) -> Obj:
    """The price has the new names; its amount never changes."""
    if params.get("lookup_key") != price["lookup_key"]:
        claim_lookup_key(acc, params)
    with acc.changing(price, "price.updated"):
        for name in {"lookup_key", "nickname", "tax_behavior"} & set(params):
            price[name] = params[name] or None
        merge_metadata(price, params)
        price["active"] = truth(params, "active", price["active"])
    set_options(acc, price, params.get("currency_options"))
    return price


def inline(acc: Account, data: Obj) -> Obj:
    """A price made on the way for one line of one order; it can be used for no other."""
    price = add(acc, data)
    price["active"] = False
    return price
