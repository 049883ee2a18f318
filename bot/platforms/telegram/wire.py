"""The HTTP transport under python-telegram-bot: aiohttp, which costs an eighth of the library's own transport.

It owes the library correct errors: whether a request certainly never left (`NotConnectedError` is the cause) or nobody
can know. Neither the errors nor their causes contain an address, because Telegram's addresses contain the bot's token.
"""

from typing import Any

import aiohttp
import orjson
from telegram.error import NetworkError, TelegramError, TimedOut
from telegram.request import BaseRequest, RequestData

_LARGEST_ANSWER = 16 * 1024 * 1024
_AGENT = "SignalStack"
WHOLE = "whole"
"""A parameter of this name is the whole request: the library would look into each parameter for files."""


class NotConnectedError(Exception):
    """There was no connection, so nothing was sent."""


class InterruptedSendError(Exception):
    """The connection failed when the request may already have arrived."""


class Wire(BaseRequest):
    """A pool of connections to the Bot API; all times in seconds.

    `total` bounds a request from the moment it has a connection, `connect` the wait for one (pool and handshake).
    """

    def __init__(self, *, connections: int, total: float = 15.0, connect: float = 5.0) -> None:
        self._connections = connections
        self._total = total
        self._connect = connect
        self._session: aiohttp.ClientSession | None = None

    @property
    def read_timeout(self) -> float:
        return self._total

    async def initialize(self) -> None:
        if self._session is None:
            # Telegram closes idle connections after about a minute; a request on one that is just being closed is
            # ambiguous, so ours are closed first.
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=20, ttl_dns_cache=60)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"},
                trust_env=False,
            )

    async def shutdown(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = BaseRequest.DEFAULT_NONE,
        write_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002 - `total` bounds writing too
        connect_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002 - one limit for all requests
        pool_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002 - waiting for the pool is part of connecting
    ) -> tuple[int, bytes]:
        """Status and body of the answer; raises NetworkError or TimedOut with one of the causes above."""
        total = self._total if read_timeout is BaseRequest.DEFAULT_NONE else float(read_timeout)
        try:
            return await self._exchange(url, method, request_data, total)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            failure, cause = _understood(error)
        # Raised outside of the block, so that the original error, which may name the address, is not its context.
        raise failure from cause

    async def _exchange(self, url: str, method: str, data: RequestData | None, total: float) -> tuple[int, bytes]:
        if self._session is None:
            raise aiohttp.ClientConnectionError("closed")
        body, headers = _encoded(data)
        # The whole may take `connect` longer, so that what runs out in the queue for a connection is always `connect`.
        limits = aiohttp.ClientTimeout(total=self._connect + total, connect=self._connect)
        async with self._session.request(
            method, url, data=body, headers=headers, timeout=limits, allow_redirects=False
        ) as response:
            answer = await _whole(response)
            # The library knows 400 as a refusal of this message, and takes 413 for a failure of the network.
            return 400 if response.status == 413 else response.status, answer

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """The answer as a dictionary; raises TelegramError for what is not one, without repeating it."""
        try:
            answer = orjson.loads(payload)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise TelegramError("Invalid server response")
        return answer


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body; raises ValueError when it is larger than any answer of Telegram."""
    if response.content_length is not None and response.content_length <= _LARGEST_ANSWER:
        return await response.read()
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > _LARGEST_ANSWER:
            raise ValueError("the answer is too large")
    return bytes(answer)


def _encoded(data: RequestData | None) -> tuple[bytes | aiohttp.FormData | None, dict[str, str]]:
    if data is None:
        return None, {}
    if not data.contains_files:
        parameters = data.parameters
        return orjson.dumps(parameters.get(WHOLE, parameters)), {"Content-Type": "application/json"}
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in data.json_parameters.items():
        form.add_field(name, value)
    for name, (filename, content, kind) in data.multipart_data.items():
        form.add_field(name, content, filename=filename, content_type=kind)
    return form, {}


def _understood(error: Exception) -> tuple[NetworkError, Exception]:
    """The library's error and its cause, told by the kind of failure only."""
    name = type(error).__name__
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TimedOut("No connection in time"), NotConnectedError(name)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        return NetworkError("No connection"), NotConnectedError(name)
    if isinstance(error, TimeoutError):
        return TimedOut("No answer in time"), InterruptedSendError(name)
    return NetworkError("The connection failed"), InterruptedSendError(name)
