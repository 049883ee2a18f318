"""Faults on demand at the Telegram stand-in: what goes wrong, for which request, how often."""

import random
from dataclasses import dataclass
from enum import StrEnum

from tests.sandbox import telegram_call


class Kind(StrEnum):
    """What happens to a request that a fault meets. `STORE_THEN_*`: the method takes effect first."""

    STORE_THEN_HANG = "store_then_hang"
    """No answer for `seconds`, then the connection closes."""
    STORE_THEN_DROP = "store_then_drop"
    STORE_THEN_502 = "store_then_502"
    STORE_THEN_HTML = "store_then_html"
    """Status 200 with a page that is no JSON."""
    DELAY = "delay"
    """Takes effect, then answers well after `seconds`."""
    HANG = "hang"
    DROP = "drop"
    REFUSE = "refuse"
    """Answers `code` with `description`; the method takes no effect."""
    RETRY_AFTER = "retry_after"
    """429 with `retry_after`; a pause of that length begins for the chat the fault names, otherwise for the bot."""
    RETRY_AFTER_BARE = "retry_after_bare"
    """429 without parameters."""
    MIGRATE = "migrate"
    """400 with `migrate_to_chat_id`."""


CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"

TEXTS = {
    400: "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\"",
    401: "Unauthorized",
    403: "Forbidden: bot was blocked by the user",
    404: "Not Found",
    409: CONFLICT,
    500: "Internal Server Error",
    502: "Bad Gateway",
}


@dataclass(slots=True)
class Fault:
    """One fault. It meets requests of `method` and `chat_id` (None: any), lets `skip` of them pass, then strikes
    `times` (None: for ever) of them, each with `probability`."""

    kind: Kind
    method: str | None = None
    chat_id: int | None = None
    skip: int = 0
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 30.0
    code: int = 400
    description: str | None = None
    retry_after: int = 1
    migrate_to: int = 0
    hits: int = 0
    """How often it has struck."""

    def refusal(self) -> telegram_call.Refused:
        """What a request meets that takes no effect and is answered."""
        if self.kind is Kind.RETRY_AFTER:
            text = f"Too Many Requests: retry after {self.retry_after}"
            return telegram_call.Refused(429, text, retry_after=self.retry_after)
        if self.kind is Kind.RETRY_AFTER_BARE:
            return telegram_call.Refused(429, "Too Many Requests")
        if self.kind is Kind.MIGRATE:
            return migrated(self.migrate_to)
        return telegram_call.Refused(self.code, self.description or TEXTS.get(self.code, "Error"))


def migrated(new_id: int) -> telegram_call.Refused:
    """The refusal for a group that has become the supergroup `new_id`."""
    text = "Bad Request: group chat was upgraded to a supergroup chat"
    return telegram_call.Refused(400, text, migrate_to_chat_id=new_id)


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

    def strike(self, call: telegram_call.Call) -> Fault | None:
        """The fault this request meets, if any."""
        return next((fault for fault in self._waiting if self._meets(fault, call)), None) if self._waiting else None

    def _meets(self, fault: Fault, call: telegram_call.Call) -> bool:
        if fault.method not in {None, call.method} or fault.chat_id not in {None, call.chat_id}:
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
