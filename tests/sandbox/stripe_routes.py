"""Every route of the stand-in's API, and the answer to one request."""

import re
from collections.abc import Callable

from tests.sandbox import stripe_params, stripe_reading, stripe_wire
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_wire import ApiError, Obj

Action = Callable[[Account, Obj, str], Obj]
ACTIONS: dict[str, Action] = {}


def route(name: str) -> Callable[[Action], Action]:
    """The function answers this route; it gets the account, the nested parameters and the id of the path."""

    def keep(action: Action) -> Action:
        ACTIONS[name] = action
        return action

    return keep


_PATTERNS = {
    name: re.compile(name.replace("{id}", r"([A-Za-z0-9_\-]+)")) for name in stripe_params.TOP if "{id}" in name
}


def match(method: str, path: str) -> tuple[str, str]:
    """The route's name and the id in the path, or ApiError 404."""
    if f"{method} {path}" in stripe_params.TOP:
        return f"{method} {path}", ""
    for name, pattern in _PATTERNS.items():
        if hit := pattern.fullmatch(f"{method} {path}"):
            return name, hit.group(1)
    raise ApiError(404, f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs")


def answer(acc: Account, method: str, path: str, flat: list[tuple[str, str]]) -> Obj:
    """What this request answers, with the expansions it asks for; it has had its whole effect, or ApiError."""
    name, object_id = match(method, path)
    params = stripe_wire.nest(flat)
    stripe_params.check(name, params)
    action = ACTIONS.get(name)
    result = action(acc, params, object_id) if action else stripe_reading.read(acc, name, params, object_id)
    wanted = params.get("expand")
    return stripe_wire.expanded(result, wanted, acc.find, lambda node, field: stripe_reading.included(acc, node, field))
