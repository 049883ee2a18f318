"""The door to Stripe's library: its client, its signatures, and its answers and errors in our words.

Calls end after 10 seconds and are repeated once by the library, under our own idempotency keys where they make
something.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import stripe

from core import errors, settings
from webhooks import payments

API_VERSION = stripe.api_version
TOLERANCE = 300
"""Seconds for which a signature is valid."""
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
T = TypeVar("T")


@asynccontextmanager
async def connected(conf: settings.Settings) -> AsyncIterator[stripe.StripeClient]:
    """A client of its own until the block ends, for work outside the site."""
    opened = http()
    try:
        yield client(conf, opened)
    finally:
        await close(opened)


def http() -> stripe.HTTPClient:
    """What the client sends with."""
    # aiohttp: it serves the site already, and it takes no proxy from the environment for addresses of this machine.
    # The library's own limit is 80 seconds.
    return stripe.AIOHTTPClient(timeout=_TIMEOUT)


def client(conf: settings.Settings, held: stripe.HTTPClient) -> stripe.StripeClient:
    """A client that asks where the settings say; its errors are ours after `answered`."""
    return stripe.StripeClient(
        conf.stripe_api_key.get_secret_value(),
        base_addresses={"api": conf.stripe_api_url},
        http_client=held,
        max_network_retries=1,
    )


async def close(held: stripe.HTTPClient) -> None:
    """Its connections are closed."""
    await held.close_async()  # type: ignore[no-untyped-call]
    await asyncio.sleep(0)  # aiohttp closes its sockets on the next turn of the loop


def signed(raw: bytes, header: str, secret: str) -> bool:
    """Whether Stripe signed these bytes with this secret in the last five minutes."""
    try:
        stripe.WebhookSignature.verify_header(raw, header, secret, tolerance=TOLERANCE)
    except (stripe.SignatureVerificationError, ValueError):
        return False
    return True


async def answered(call: Awaitable[T], *, making: bool = False) -> T | None:
    """What Stripe answered; None when a thing that was asked for does not exist."""
    try:
        async with asyncio.timeout(30):
            return await call
    except stripe.IdempotencyError as error:
        if error.http_status == 409:
            raise errors.UnreachableError("Stripe is making this already.") from None
        raise payments.ConflictError("Stripe has this checkout with other contents.") from None
    except stripe.CardError:
        raise payments.DeclinedError("The card was refused.") from None
    except stripe.RateLimitError:
        raise errors.UnreachableError("Stripe asks us to slow down.") from None
    except stripe.InvalidRequestError as error:
        if error.http_status == 404 and not making:
            return None
        raise errors.RefusedError(f"Stripe refuses this: {error.code or 'invalid request'}.") from None
    except (stripe.AuthenticationError, stripe.PermissionError):
        raise errors.RefusedError("Stripe does not accept our key; see STRIPE_API_KEY.") from None
    except (stripe.APIConnectionError, aiohttp.ClientError, TimeoutError, OSError):
        raise errors.UnreachableError("Stripe does not answer.") from None
    except stripe.StripeError as error:
        # A server error is remembered under the idempotency key for a day, so the same key would fail again and again.
        kind = payments.ConflictError if making else errors.UnreachableError
        raise kind(f"Stripe has a problem of its own (HTTP {error.http_status}).") from None


def plain(answer: Any) -> dict[str, Any]:
    """The answer as plain dicts and lists."""
    if isinstance(answer, dict):
        return answer
    return {} if answer is None else answer.to_dict(for_json=True)


async def read(held: stripe.StripeClient, *path: str, **wanted: Any) -> dict[str, Any]:
    """What Stripe says of the thing or the list at this path (below /v1), as it came; empty when there is none.

    The library sends and judges, and builds no objects of the answer: a hundred subscriptions with their invoices keep
    the process busy for half a second as objects, and for a tenth of that as they came.
    """
    where = "/".join(quote(part, safe="") for part in ("v1", *path))
    answer: Any = await answered(held.raw_request_async("get", f"/{where}", **wanted))
    found: dict[str, Any] = answer.data if answer else {}
    return found
