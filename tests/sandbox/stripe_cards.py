"""Cards of the stand-in: how a number shows itself, which are refused, and where they are kept."""

import hashlib

from tests.sandbox import stripe_shapes
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj

GOOD = "4242424242424242"
DECLINED = {"4000000000000002", "4000000000009995"}
FAILS_LATER = "4000000000000341"
ASKS_LATER = "4000002500003155"
WORDS = {"declined": "4000000000000002", "fails_later": FAILS_LATER, "asks_later": ASKS_LATER}
EXPIRY = (12, 2034)
_BRANDS = {"2": "mastercard", "3": "amex", "4": "visa", "5": "mastercard", "6": "discover"}


def number(typed: str) -> str:
    """The card's digits; a word such as `declined` stands for a test number, anything else for a good card."""
    text = typed.replace(" ", "")
    return text if text.isdigit() else WORDS.get(text, GOOD)


def fingerprint(digits: str) -> str:
    """The same card number has the same fingerprint, whoever holds it."""
    return hashlib.sha256(digits.encode()).hexdigest()[:16]


def details(digits: str, expiry: tuple[int, int] = EXPIRY) -> Obj:
    """What Stripe tells of a card that was charged."""
    return stripe_shapes.blank(
        "amount_authorized authorization_code extended_authorization incremental_authorization installments mandate"
        " multicapture network_token network_transaction_id overcapture regulated_status three_d_secure"
        " transaction_link_id wallet",
        brand=_BRANDS.get(digits[0], "visa"),
        checks=stripe_shapes.blank("address_line1_check address_postal_code_check", cvc_check="pass"),
        country="US",
        exp_month=expiry[0],
        exp_year=expiry[1],
        fingerprint=fingerprint(digits),
        funding="credit",
        last4=digits[-4:],
        network=_BRANDS.get(digits[0], "visa"),
    )


_OF_METHOD = "brand checks country exp_month exp_year fingerprint funding last4 regulated_status wallet"


def payment_method(acc: Account, customer_id: str | None, digits: str, expiry: tuple[int, int] = EXPIRY) -> Obj:
    """A card as Stripe keeps it; nothing is stored yet."""
    shown = details(digits, expiry)
    card = {name: shown[name] for name in _OF_METHOD.split()}
    card |= {"display_brand": shown["brand"], "generated_from": None, "three_d_secure_usage": {"supported": True}}
    card["networks"] = {"available": [shown["brand"]], "preferred": None}
    address = stripe_shapes.blank("city country line1 line2 postal_code state")
    return {
        "id": acc.new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": stripe_shapes.blank("email name phone tax_id", address=address),
        "card": card,
        "created": acc.now(),
        "customer": customer_id,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


def keep(acc: Account, customer_id: str | None, typed: str, expiry: tuple[int, int] = EXPIRY) -> Obj:
    """The card stands in the account; a customer's is attached, and an event says so."""
    digits = number(typed)
    method = acc.add(payment_method(acc, customer_id, digits, expiry))
    acc.secret(method["id"]).update(number=digits, expiry=expiry)
    if customer_id:
        acc.emit("payment_method.attached", method)
    return method


def charged(acc: Account, method_id: str | None) -> Obj:
    """What a charge tells of the card that paid."""
    known = acc.secret(method_id) if method_id else {}
    return details(known.get("number", GOOD), known.get("expiry", EXPIRY))


def works(acc: Account, method_id: str | None) -> bool:
    """A charge of this card is paid."""
    return method_id is not None and acc.secret(method_id).get("number") not in {*DECLINED, FAILS_LATER}


def asks(acc: Account, method_id: str | None) -> bool:
    """The bank wants its customer to confirm each charge that happens without them."""
    return method_id is not None and acc.secret(method_id).get("number") == ASKS_LATER


def refused(*, asked: bool = False) -> ApiError:
    """Stripe's answer when a charge was asked for at once and the bank said no, or asked back."""
    if asked:
        message = "Payment for this subscription requires additional user action before it can be completed."
        return ApiError(402, message, type="card_error", code="subscription_payment_intent_requires_action")
    return ApiError(
        402, "Your card was declined.", type="card_error", code="card_declined", decline_code="generic_decline"
    )


def setup_intent(acc: Account, customer_id: str | None, method_id: str | None) -> Obj:
    """A card was kept for later without a charge; nothing is stored yet."""
    intent_id = acc.new_id("seti")
    return stripe_shapes.blank(
        "application automatic_payment_methods cancellation_reason description excluded_payment_method_types"
        " flow_directions last_setup_error latest_attempt mandate next_action on_behalf_of"
        " payment_method_configuration_details single_use_mandate customer_account",
        id=intent_id,
        object="setup_intent",
        client_secret=f"{intent_id}_secret_{acc.new_id('s')[2:]}",
        created=acc.now(),
        customer=customer_id,
        livemode=False,
        metadata={},
        payment_method=method_id,
        payment_method_options={},
        payment_method_types=["card"],
        status="succeeded" if method_id else "requires_payment_method",
        usage="off_session",
    )
