"""Faults on demand at the Discord stand-in: what goes wrong, for which request, how often."""

import random
import re
from dataclasses import dataclass
from enum import StrEnum

from tests.sandbox import discord_limits, discord_wire


class Kind(StrEnum):
    """What happens to a request that a fault meets. `STORE_THEN_*`: the request takes effect first."""

    REFUSE = "refuse"
    """Answers `status` with Discord's `code`; no effect."""
    SERVER_ERROR = "server_error"
    """Answers `status` (500 unless 5xx); no effect."""
    STORE_THEN_ERROR = "store_then_error"
    """Answers `status` (502 unless 5xx)."""
    STORE_THEN_DROP = "store_then_drop"
    STORE_THEN_RESET = "store_then_reset"
    """The connection is reset (RST)."""
    STORE_THEN_HANG = "store_then_hang"
    """No answer for `seconds`, then the connection closes."""
    STORE_THEN_NOT_JSON = "store_then_not_json"
    """Status 200 with a page that is no JSON."""
    HANG = "hang"
    DROP = "drop"
    DELAY = "delay"
    """Takes effect, then answers well after `seconds`."""
    RATE_LIMIT = "rate_limit"
    """429 with `retry_after` and `scope`; a pause of that length begins."""
    CLOUDFLARE = "cloudflare"
    """429 that comes from before Discord: without Via and without JSON."""


@dataclass(slots=True)
class Fault:
    """One fault. It meets requests of `method` whose path contains or matches `route` (None: any), lets `skip` of them
    pass, then strikes `times` (None: for ever) of them, each with `probability`."""

    kind: Kind
    method: str | None = None
    route: str | None = None
    skip: int = 0
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 30.0
    status: int = 403
    code: int = 0
    retry_after: float = 1.0
    scope: str = "user"
    """Of a rate limit: "user" (this bucket), "global" (all routes) or "shared" (this bucket, not the bot's doing)."""
    message: str | None = None
    hits: int = 0
    """How often it has struck."""

    def refusal(self) -> discord_wire.Refused:
        """What a request meets that takes no effect and is answered in JSON."""
        if self.kind is Kind.RATE_LIMIT:
            return discord_limits.too_many(self.retry_after, scope=self.scope)
        status, text = discord_wire.REFUSALS.get(self.code, (self.status, "Error"))
        return discord_wire.Refused(status, self.code, self.message or text)

    @property
    def error_status(self) -> int:
        """The status of what comes instead of Discord's answer."""
        if self.kind is Kind.STORE_THEN_NOT_JSON:
            return 200
        default = 500 if self.kind is Kind.SERVER_ERROR else 502
        return self.status if self.status >= 500 else default


class Faults:
    """The faults that wait for their requests; the first that strikes wins. The same seed gives the same strikes."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """The fault waits for its requests; it is returned, so that its `hits` can be read later."""
        self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """No fault waits any more."""
        self._waiting.clear()

    def strike(self, call: discord_wire.Call) -> Fault | None:
        """The fault this request meets, if any."""
        return next((fault for fault in self._waiting if self._meets(fault, call)), None) if self._waiting else None

    def _meets(self, fault: Fault, call: discord_wire.Call) -> bool:
        if fault.method and fault.method.upper() != call.method:
            return False
        if fault.route and not (fault.route in {call.route, call.path} or re.search(fault.route, call.path)):
            return False
        if fault.times is not None and fault.hits >= fault.times:
            return False
        if fault.skip > 0:
            fault.skip -= 1
            return False
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        fault.hits += 1
        return True
