"""Who calls: the key, what it may do, what its owner has, and how often they call."""

from collections.abc import Mapping

from aiohttp import web
from limits import RateLimitItem

from core import keys
from webhooks import guard, limits, site
from webhooks.api import frame

HOW = "Send your key as “Authorization: Bearer sst_…”; /apikey in the bot's private chat makes one."
_ASKS = {"WWW-Authenticate": 'Bearer realm="members"'}
_MAY = {keys.READ: "look", keys.ACT: "set something going"}


async def let_in(
    request: web.Request, here: site.Site, *, scope: str = keys.READ, paying: bool = True, key: str | None = None
) -> frame.Caller:
    """Whose key was sent; raises a refusal of 401, 403 or 429 otherwise.

    With `paying` the owner of the key has a plan, and the key may do what `scope` says. A `key` that came in another
    way than in the header is judged alike.
    """
    address = guard.address(request)
    everybody = await here.limiter.take(limits.ADDRESS, "address", address)
    if not everybody.ok:
        raise too_many("Too many requests from your address.", everybody.headers)
    key = _sent(request) if key is None else key
    named = keys.prefix(key)
    tries = [("guesses", address), *([("guesses", named)] if named else [])]
    for who in tries:
        if not await here.limiter.left(limits.GUESSES, *who):
            raise too_many("Too many wrong keys; wait a minute.", {"Retry-After": "60"})
    async with here.stack.db.glancing() as session:
        holder = await keys.known(session, key, now=here.now)
    if holder is None:
        for who in tries:
            await here.limiter.take(limits.GUESSES, *who)
        raise frame.RefusalError(401, "key_unknown", f"This key is not known, or was revoked. {HOW}", _ASKS)
    if holder.stale:
        async with here.stack.db.transaction() as session:
            await keys.used(session, holder.key_id, now=here.now)
    caller = _caller(here, holder)
    _judge(caller, scope, paying=paying)
    return caller


async def counted(here: site.Site, caller: frame.Caller, rule: RateLimitItem | None, name: str) -> Mapping[str, str]:
    """The call counts for its key and for its member; what a program reads of what is left, or a refusal of 429."""
    taken = [
        await here.limiter.take(limits.API, "key", caller.prefix),
        await here.limiter.take(limits.MEMBER, "member", str(caller.member_id)),
    ]
    if rule is not None and all(one.ok for one in taken):
        taken.append(await here.limiter.take(rule, name, str(caller.member_id)))
    for one in taken:
        if not one.ok:
            raise too_many("", one.headers)
    return (taken[-1] if rule is not None else taken[0]).headers


def too_many(text: str, headers: Mapping[str, str]) -> frame.RefusalError:
    """The refusal of who asks too often; the headers say when to ask again."""
    text = text or f"That was too often; try again in {headers['Retry-After']} seconds."
    return frame.RefusalError(429, "too_many_requests", text, headers)


def _sent(request: web.Request) -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if not key.strip() or scheme.lower() != "bearer":
        raise frame.RefusalError(401, "key_missing", HOW, _ASKS)
    return key.strip()


def _caller(here: site.Site, holder: keys.Holder) -> frame.Caller:
    book = here.stack.catalogue
    plans = tuple(book.by_key[plan] for plan in sorted(holder.plans) if plan in book.by_key)
    return frame.Caller(holder.key_id, holder.prefix, holder.member_id, plans, holder.scopes, holder.newest)


def _judge(caller: frame.Caller, scope: str, *, paying: bool) -> None:
    if scope not in caller.scopes:
        text = f"This key lacks the scope “{scope}”: it may not {_MAY[scope]}. “/apikey new NAME” makes one that may."
        raise frame.RefusalError(403, "scope_missing", text)
    if paying and not caller.plans:
        text = "Your key is right, but its owner has no subscription now; /subscribe in the bot's private chat."
        raise frame.RefusalError(403, "subscription_needed", text)
