"""The catalogue: what this community watches, what it sells, and what each plan opens.

Read from `signalstack.toml`; without the file, a catalogue of one plan that opens every configured market.
"""

import itertools
import tomllib
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from core import errors, look, sold
from core.market import timeframes


def _known_timeframe(value: str) -> str:
    timeframes.seconds(value)
    return value


Timeframe = Annotated[str, AfterValidator(_known_timeframe)]
Symbol = sold.Symbol
Key = sold.Key
Plan = sold.Plan
Policy = sold.Policy
# Platforms' numbers may be written as numbers; an empty one is not known (yet).
Number = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) and not isinstance(value, bool) else value),
    Field(pattern=r"^(-?[0-9]{1,20})?$"),
]


class Exit(sold.Section):
    """A part of the way out: `share` of the whole leaves at this part of the way from the entry to the target.

    `stop` says where the stop stands from the next candle on: at the entry, or at the target before (which for the
    first one is the entry too). Without it the stop stays.
    """

    at: Decimal = Field(gt=0, le=1, max_digits=6, decimal_places=4)
    share: Decimal = Field(gt=0, le=1, max_digits=6, decimal_places=4)
    stop: Literal["", "entry", "previous"] = ""


class Watch(sold.Section):
    """One strategy on one market and timeframe; without `exits` everything leaves at the strategy's target."""

    exchange: str = Field(default="binance", pattern=r"^[a-z0-9]{2,30}$")
    symbol: Symbol
    timeframe: Timeframe = "1h"
    strategy: str = Field(default="mean_reversion", pattern=r"^[a-z][a-z0-9_]{0,39}$")
    params: dict[str, Any] = Field(default_factory=dict)
    exits: tuple[Exit, ...] = Field(default=(), max_length=9)

    @model_validator(mode="after")
    def _leaves_wholly(self) -> Self:
        if not self.exits:
            return self
        ways = [part.at for part in self.exits]
        if ways != sorted(set(ways)) or ways[-1] != 1:
            raise ValueError("`at` of the exits must rise, and end at 1, which is the target")
        if sum(part.share for part in self.exits) != 1:
            raise ValueError("the shares of the exits must add up to 1")
        return self

    @property
    def key(self) -> str:
        """The name of this watch everywhere: in rows, logs and plans."""
        return f"{self.strategy} {self.exchange} {self.symbol} {self.timeframe}"


class Place(sold.Section):
    """A gated place: a Telegram channel or group (`chat`), or a role and channel on a Discord server.

    `symbols` are the markets whose signals are posted there; empty means every watched market.
    """

    key: Key
    name: str = Field(min_length=1, max_length=100)
    platform: Literal["telegram", "discord"]
    chat: Number = ""
    server: Number = ""
    role: Number = ""
    channel: Number = ""
    symbols: frozenset[Symbol] = frozenset()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.platform == "telegram" and not self.chat.startswith("-"):
            raise ValueError("a Telegram place needs `chat`, the number of its channel or group (it is negative)")
        if self.platform == "discord" and not self.server:
            raise ValueError("a Discord place needs `server`, the number of the server")
        return self

    @property
    def space(self) -> str:
        """The Telegram chat or the Discord server."""
        return self.chat if self.platform == "telegram" else self.server


class Service(sold.Section):
    """How the operator's service calls and shows itself, and the words the law wants.

    `colour` is that of links and buttons on light pages, `colour_dark` on dark ones; `logo` is a small PNG or WebP
    file, seen from the catalogue's file.
    """

    name: str = Field(default="SignalStack", min_length=1, max_length=60)
    operator: str = Field(default="", max_length=200)
    support: str = Field(default="", max_length=200)
    terms: str = Field(
        default="Signals are information, not advice, and no promise of profit. You decide about every trade yourself. "
        "A subscription renews until you cancel; after cancelling you keep access until the end of the paid period.",
        max_length=3000,
    )
    privacy: str = Field(
        default="We keep your chat id, your chat name, your settings, the state of your subscription and what was sent "
        "to you. Card data stays with Stripe.",
        max_length=3000,
    )
    risk: str = Field(default="Not financial advice. Trading can lose money.", min_length=1, max_length=200)
    notice: str = Field(default="", max_length=60)
    discord_invite: str = Field(
        default="", pattern=r"^(https://(discord\.gg|discord\.com/invite)/[A-Za-z0-9-]{1,40})?$"
    )
    colour: Annotated[str, AfterValidator(look.light)] = "#0b6b5b"
    colour_dark: Annotated[str, AfterValidator(look.dark)] = "#63d2b6"
    logo: str = Field(default="", max_length=400)


class Costs(sold.Section):
    """What every result assumes that a trade costs, at the way in and at each way out, in percent of the price."""

    fee_percent: Decimal = Field(default=Decimal("0.1"), ge=0, le=5, max_digits=6, decimal_places=4)
    slippage_percent: Decimal = Field(default=Decimal("0.05"), ge=0, le=5, max_digits=6, decimal_places=4)


class Record(sold.Section):
    """The public channels in which the head of the record is posted once a day, as an independent witness."""

    telegram: Number = ""
    discord: Number = ""


class Intake(sold.Section):
    """A source outside whose alerts become signals: POST /intake/{key}; its secret stands in INTAKE_SECRETS.

    An alert older than `max_age` seconds, or whose entry is further than `max_distance` percent from the market's last
    price, is refused. `symbols` empty means every watched market.
    """

    key: Key
    symbols: frozenset[Symbol] = frozenset()
    max_age: int = Field(default=120, ge=5, le=3600)
    max_distance: Decimal = Field(default=Decimal(2), gt=0, le=50)
    expires_after: int = Field(default=48, ge=1, le=10_000)


class Catalogue(sold.Section):
    """Everything that signalstack.toml can say."""

    service: Service = Service()
    policy: Policy = Policy()
    costs: Costs = Costs()
    record: Record = Record()
    strategies: str = Field(default="", max_length=400)
    """The directory of the operator's own strategies, seen from the catalogue's file."""
    intakes: tuple[Intake, ...] = ()
    watches: tuple[Watch, ...] = ()
    plans: tuple[Plan, ...] = ()
    places: tuple[Place, ...] = ()

    @cached_property
    def by_key(self) -> dict[str, Plan]:
        """Plans by their key."""
        return {plan.key: plan for plan in self.plans}

    @cached_property
    def by_price(self) -> dict[str, Plan]:
        """Plans by the ids of their prices at the payment provider."""
        return dict(sold.by_price(self.plans))

    def faults(self) -> list[str]:
        """What is wrong with the catalogue as a whole, one sentence each."""
        found = []
        for what, keys in (
            ("watch", [watch.key for watch in self.watches]),
            ("plan", [plan.key for plan in self.plans]),
            ("price_id", [price_id for price_id, _ in sold.by_price(self.plans)]),
            ("place", [place.key for place in self.places]),
            ("intake", [intake.key for intake in self.intakes]),
            ("chat of a place", [place.chat for place in self.places if place.chat]),
        ):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            found += [f"The catalogue names the {what} '{key}' twice; keep one." for key in twice]
        return found + self._misplaced() + self._torn()

    def _torn(self) -> list[str]:
        """Roles that a plan would have to give for one place and to take for another."""
        found = []
        for one, other in itertools.combinations(self.places, 2):
            if one.role and (one.server, one.role) == (other.server, other.role):
                found += [
                    f"The places '{one.key}' and '{other.key}' share the role {one.role}, but the plan '{plan.key}' "
                    "opens only one of them; give each a role of its own."
                    for plan in self.plans
                    if plan.opens_place(one.key, one.symbols) != plan.opens_place(other.key, other.symbols)
                ]
        return found

    def _misplaced(self) -> list[str]:
        """Plans that name a place they cannot open. Places that are set up in chat are not known here."""
        known = {place.key: place for place in self.places}
        return [
            f"The plan '{plan.key}' opens the place '{key}', where markets are posted that the plan does not have; "
            "give the place `symbols` that the plan has too."
            for plan in self.plans
            for key in sorted(plan.places & known.keys())
            if not plan.covers(known[key].symbols)
        ]


def read(path: Path) -> Catalogue:
    """The catalogue in this file; raises ConfigError with one sentence for each fault in it."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.ConfigError(f"The catalogue {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # of the path, the encoding or the TOML
        raise errors.ConfigError(f"The catalogue {path} is not valid TOML: {error}.") from error
    try:
        found = Catalogue.model_validate(data)
    except ValidationError as error:
        raise errors.ConfigError(
            *(f"{path.name}: {'.'.join(map(str, fault['loc']))}: {_said(fault['msg'])}." for fault in error.errors())
        ) from error
    if found.strategies:
        found = found.model_copy(update={"strategies": str(path.parent / found.strategies)})
    if found.service.logo:
        logo = path.parent / found.service.logo
        look.logo(logo)
        found = found.model_copy(update={"service": found.service.model_copy(update={"logo": str(logo)})})
    return found


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")
