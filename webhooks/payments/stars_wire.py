"""The Bot API as far as Stars need it: one small client, and the list of all payments, which only ever grows.

The token stands in every address, so no error of the client goes on, and none says an address.
"""

import asyncio
import time
from typing import Any

import aiohttp

from core import errors, settings
from webhooks.payments import stars_objects

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
_PAGE = 100


class Api:
    """The methods of one bot. Calls raise UnreachableError, and RefusedError with what Telegram says."""

    def __init__(self, conf: settings.Settings) -> None:
        self._url = f"{conf.telegram_api_url}/bot{conf.telegram_bot_token.get_secret_value()}"
        self._http: aiohttp.ClientSession | None = None

    async def call(self, method: str, **given: Any) -> Any:
        """The result of the method as JSON value."""
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_TIMEOUT)
        try:
            async with self._http.post(f"{self._url}/{method}", json=given) as answer:
                said = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise errors.UnreachableError("Telegram does not answer.") from None
        return _result(said)

    async def close(self) -> None:
        """Its connections are closed."""
        if self._http is not None:
            await self._http.close()
            await asyncio.sleep(0)  # aiohttp closes its sockets on the next turn of the loop


def _result(said: Any) -> Any:
    if not isinstance(said, dict) or not isinstance(said.get("ok"), bool):
        raise errors.UnreachableError("Telegram answers with something that is no answer.")
    if said["ok"]:
        return said.get("result")
    code, text = said.get("error_code"), str(said.get("description", ""))[:200]
    if code in {400, 403}:
        raise errors.RefusedError(text.removeprefix("Bad Request: "))
    if code in {401, 404}:  # one such answer means nothing; the bot alarms when it goes on
        raise errors.UnreachableError("Telegram does not accept our token; see TELEGRAM_BOT_TOKEN.")
    raise errors.UnreachableError(f"Telegram has a problem of its own (HTTP {code}).")


class Ledger:
    """Every payment in Stars and what was given back, as Telegram lists it: the oldest first, and nothing ever goes.

    So only what is new is asked for. The first look after a start takes one request for each hundred entries.
    """

    def __init__(self, api: Api) -> None:
        self.book = stars_objects.Book()
        self._api = api
        self._entries = 0
        self._last: Any = None
        self._begun = 0.0
        self._turn = asyncio.Lock()

    async def look(self) -> stars_objects.Book:
        """The payments as they stand; asked after this was called."""
        called = time.monotonic()
        async with self._turn:
            if self._begun <= called:  # otherwise somebody has just looked, and began after we called
                began = time.monotonic()
                while await self._page():
                    pass
                self._begun = began
        return self.book

    async def _page(self) -> bool:
        """The next entries are in the book; says whether there may be more."""
        # The last known entry is asked for again: if another one stands there, this is not the list we know.
        start = max(self._entries - 1, 0)
        page = (await self._api.call("getStarTransactions", offset=start, limit=_PAGE))["transactions"]
        if self._entries:
            if not page or _mark(page[0]) != self._last:
                self.book, self._entries, self._last = stars_objects.Book(), 0, None
                return True
            page = page[1:]
        for entry in page:
            self.book.enter(entry)
        if page:
            self._entries, self._last = self._entries + len(page), _mark(page[-1])
        return len(page) >= _PAGE - 1


def _mark(entry: dict[str, Any]) -> Any:
    """What an entry is known by; people change their names."""
    return entry.get("id"), entry.get("date"), "receiver" in entry
