"""What every endpoint of the members' API is made of: a row of data, what comes in, and what goes out.

An endpoint is its address, the pydantic models of what comes in and goes out, and the function between them. Routes,
validation, the OpenAPI description and the page for people are made from the same row.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import pydantic
from aiohttp import web
from limits import RateLimitItem

from core import catalogue, keys
from webhooks import site

LARGEST = 2**53
"""The largest number that every reader of JSON reads exactly."""


class Shape(pydantic.BaseModel):
    """Something that comes in: unknown fields are refused, so that a typing error is heard of."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", str_max_length=2000)


class Nothing(Shape):
    """No parameters."""


def _digits(value: object) -> object:
    """Numbers in an address are plain digits: what else Python reads as a number is a mistake there."""
    if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdigit()):
        raise ValueError("write a whole number")
    return value


Whole = Annotated[int, pydantic.BeforeValidator(_digits)]
"""A whole number in an address."""


def _integer(value: object) -> object:
    """JSON knows one kind of number: to JSON Schema 5.0 is the integer 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


INTEGER = pydantic.BeforeValidator(_integer)
"""For whole numbers in a body, beside the type itself."""


class Number(Shape):
    """The number that stands in the address."""

    id: Whole = pydantic.Field(ge=1, le=LARGEST, description="Its number.", examples=[1])


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key it is, what it may do, and which plans its owner has now.

    `newest` is the number of the record's newest entry at the moment when the key was checked.
    """

    key_id: int
    prefix: str
    member_id: int
    plans: tuple[catalogue.Plan, ...]
    scopes: frozenset[str] = frozenset(keys.SCOPES)
    newest: int = 0

    def has(self, symbol: str) -> bool:
        """Whether one of the plans opens this market."""
        return any(not plan.symbols or symbol in plan.symbols for plan in self.plans)

    @property
    def markets(self) -> frozenset[str] | None:
        """The markets that the plans open; None when they open every one."""
        if any(not plan.symbols for plan in self.plans):
            return None
        return frozenset().union(*(plan.symbols for plan in self.plans))


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked: `path`, `query` and `body` are instances of the endpoint's models."""

    request: web.Request
    here: site.Site
    caller: Caller
    path: Any
    query: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out: an instance of the model that the endpoint names for this status."""

    body: pydantic.BaseModel
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A row of the API.

    `rule` is counted for each member besides what holds for all; `refusals` are further statuses with when they are
    given. `paying` says that a plan is needed. `kept` gives what an answer depends on besides the record: where it
    stands, the answer is given again until the record has another entry.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: Callable[[Call], Awaitable[Reply]]
    returns: Mapping[int, type[pydantic.BaseModel]]
    of: type[Shape] = Nothing
    query: type[Shape] = Nothing
    body: type[Shape] | None = None
    rule: RateLimitItem | None = None
    refusals: Mapping[int, str] = field(default_factory=dict)
    paying: bool = True
    tag: str = "signals"
    more: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: Callable[[Call], Hashable] | None = None

    @property
    def scope(self) -> str:
        """What a key must be allowed to do."""
        return keys.READ if self.method == "GET" else keys.ACT


class RefusalError(Exception):
    """The call is answered with this status, code and sentence."""

    def __init__(self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.headers = status, code, text, dict(headers or {})
