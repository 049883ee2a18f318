"""The parameter types of the installed stripe library, made strict: no other name, no other word, no other type.

The library generates them from Stripe's own description and leaves them open for its users' comfort. What comes over
the wire is a form, all text: a number is text that reads as one.
"""

import functools
import importlib
import operator
import re
import types
import typing
from decimal import Decimal
from typing import Annotated, Any, Literal, Union

import pydantic
import pydantic_core
import typing_extensions
from stripe import _request_options
from stripe._stripe_object import UntypedStripeObject


def _text(kind: str, pattern: str) -> Any:
    """Form text that matches the whole pattern; any other is an error of this kind."""
    exact = re.compile(pattern)

    def read(value: Any) -> Any:
        if not isinstance(value, str) or not exact.fullmatch(value):
            raise pydantic_core.PydanticCustomError(kind, kind)
        return value

    return Annotated[Any, pydantic.PlainValidator(read)]


_SCALARS: dict[Any, Any] = {
    int: _text("integer", r"-?\d+"),
    bool: _text("boolean", r"true|false"),
    float: _text("number", r"-?\d+(\.\d+)?"),
    Decimal: _text("number", r"-?\d+(\.\d+)?"),
    str: Annotated[str, pydantic.StringConstraints(min_length=1)],
}


_WRAPPERS: tuple[Any, ...] = (typing_extensions.NotRequired, typing_extensions.Required)
_CHOICES: tuple[Any, ...] = (Union, types.UnionType)


def _strict(kind: Any) -> Any:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if typing_extensions.is_typeddict(kind):
        return closed(kind)
    origin, parts = typing_extensions.get_origin(kind), typing_extensions.get_args(kind)
    if origin is Union or origin is types.UnionType:
        return _choice(parts)
    if origin is list:
        return list[_strict(parts[0])]  # type: ignore[misc]
    if origin is dict:
        # An empty value unsets its key.
        return dict[str, Literal[""] | _strict(parts[1])]  # type: ignore[misc]
    return kind


def _choice(parts: tuple[Any, ...]) -> Any:
    """An open choice of words is closed: text beside words is dropped, unless the only word is the empty one."""
    kept = [part for part in parts if typing_extensions.get_origin(part) is not UntypedStripeObject]
    words = {w for part in kept if typing_extensions.get_origin(part) is Literal for w in typing.get_args(part)}
    if words - {""}:
        kept = [part for part in kept if part is not str]
    return functools.reduce(operator.or_, [_strict(part) for part in kept])


@functools.cache
def closed(kind: Any) -> Any:
    """The same TypedDict without the request's options, and with no room for other names."""
    # The options' own types are imported for type checkers only.
    room = {**vars(_request_options), "StripeContext": object, **vars(importlib.import_module(kind.__module__))}
    fields: dict[str, Any] = {}
    for name, hint in typing_extensions.get_type_hints(kind, room, include_extras=True).items():
        if name not in _request_options.RequestOptions.__annotations__:
            wrapped = typing_extensions.get_origin(hint) in _WRAPPERS
            inner = _strict(typing_extensions.get_args(hint)[0] if wrapped else hint)
            fields[name] = inner if name in kind.__required_keys__ else typing_extensions.NotRequired[inner]
    make: Any = typing_extensions.TypedDict
    made: Any = make(kind.__name__, fields)
    made.__pydantic_config__ = pydantic.ConfigDict(extra="forbid")
    return made


def library_type(name: str) -> Any:
    """The library's type for a name such as `checkout.SessionCreate`."""
    folder, _, last = name.rpartition(".")
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", last).lower()
    module = importlib.import_module(f"stripe.params.{folder + '.' if folder else ''}_{snake}_params")
    return getattr(module, f"{last}Params")


@functools.cache
def adapter(name: str) -> pydantic.TypeAdapter[Any]:
    """The strict validator of these parameters, made at its first use."""
    return pydantic.TypeAdapter(closed(library_type(name)))
