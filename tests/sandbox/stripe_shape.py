"""Whether an answer has the shape that the installed stripe library declares for Stripe's objects.

The library's classes are generated from Stripe's description: they tell every field's name, type, and whether it may
be null. What they cannot tell, the published examples do (see the tests).
"""

import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal, Union

from stripe import ListObject, StripeObject
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._stripe_object import UntypedStripeObject

from tests.sandbox.stripe_wire import Obj

_JSON: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    float: (int, float),
    Decimal: (str,),
}


def problems(shown: Obj) -> list[str]:
    """Everything about this answer that Stripe would not send: unknown, missing or wrongly typed fields."""
    if "error" in shown:
        return []
    return list(_object(shown, str(shown.get("object"))))


def _object(value: Obj, path: str) -> Iterator[str]:
    name = value.get("object")
    if value.get("deleted") is True:
        return
    if name in {"list", "search_result"}:
        for place, row in enumerate(value["data"]):
            yield from _object(row, f"{path}.data[{place}]")
    elif name in OBJECT_CLASSES:
        yield from _fields(value, get_object_class("V1", name), path)
    else:
        yield f"{path}: Stripe has no object {name!r}"


def _fields(value: Obj, kind: Any, path: str) -> Iterator[str]:
    hints = {name: hint for name, hint in kind.__annotations__.items() if name != "OBJECT_NAME"}
    for name in sorted(set(value) - set(hints) - {"object"}):
        yield f"{path}.{name}: unknown"
    for name, hint in hints.items():
        if name in value:
            yield from _value(value[name], hint, f"{path}.{name}")
        elif not _nullable(hint):
            yield f"{path}.{name}: missing"


def _nullable(hint: Any) -> bool:
    return hint is Any or type(None) in typing.get_args(hint) or typing.get_origin(hint) is typing.ClassVar


def _value(value: Any, hint: Any, path: str) -> Iterator[str]:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        if not _nullable(hint):
            yield f"{path}: null"
    elif origin is Union:
        yield from _choice(value, parts, path)
    elif origin is list:
        if isinstance(value, list):
            for place, row in enumerate(value):
                yield from _value(row, parts[0], f"{path}[{place}]")
        else:
            yield f"{path}: no list"
    elif origin is Literal:
        if value not in parts:
            yield f"{path}: {value!r} is no {'|'.join(map(str, parts))}"
    else:
        yield from _plain(value, hint, origin, path)


def _choice(value: Any, parts: tuple[Any, ...], path: str) -> Iterator[str]:
    tried = [list(_value(value, part, path)) for part in parts if part is not type(None)]
    yield from min(tried, key=lambda found: (len(found), found))


def _plain(value: Any, hint: Any, origin: Any, path: str) -> Iterator[str]:
    if hint in _JSON:
        if not isinstance(value, _JSON[hint]) or (isinstance(value, bool) and hint is not bool):
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif hint is Any:
        return
    elif not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
    elif (isinstance(origin, type) and issubclass(origin, UntypedStripeObject)) or origin is dict:
        return
    elif "object" in value and (origin is ListObject or not isinstance(hint, type) or "OBJECT_NAME" in vars(hint)):
        yield from _object(value, path)
    elif isinstance(hint, type) and issubclass(hint, StripeObject) and hint is not StripeObject:
        yield from _fields(value, hint, path)
