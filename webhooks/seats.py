"""The page on which who pays for a team gives its seats: who has one, who is invited, and what to do about it."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from core import errors, given, grants, models
from core.billing import invitations, links, seats, subscriptions
from webhooks import billing, site

_MARK = re.compile(r"[\w-]{8,40}", re.ASCII)
_NOTHING = "That was done already, or it was somebody else who did it; below is how it stands now."
_SAID = {
    "freed": "The seat is free again. Who had it has been told.",
    "withdrawn": "The invitation is worth nothing any more.",
    "gone": _NOTHING,
}
Form = Mapping[str, object]


def add_to(app: web.Application) -> None:
    """The site has the page."""
    app.router.add_get("/seats/{token}", show)
    app.router.add_post("/seats/{token}", change)


async def show(request: web.Request) -> web.Response:
    """Every seat that the member pays for; `made` shows the link that a form of this mark has made."""
    try:
        ticket = await billing.ticket(request, links.SEATS)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    return await _page(request, ticket.member_id, said=_SAID.get(request.query.get("said", ""), ""))


async def change(request: web.Request) -> web.Response:
    """What the form wants is done, once however often it is sent; the browser goes back to the page with a GET."""
    here = site.of(request)
    try:
        ticket = await billing.ticket(request, links.SEATS)
    except errors.RefusedError as error:
        return site.message(request, "This link does not work", str(error), status=403)
    form = await request.post()
    try:
        async with here.stack.db.transaction() as session:
            row = await _mine(session, ticket.member_id, form)
            how = await _do(session, here, row, form)
    except errors.RefusedError as error:
        return await _page(request, ticket.member_id, problem=str(error), status=409)
    here.stack.deliver()
    return site.elsewhere(f"{request.path}?{how}")


async def _mine(session: AsyncSession, member_id: int, form: Form) -> models.Subscription:
    """The subscription that the form is about, locked; raises RefusedError for one that is not the member's."""
    number = _number(form, "team")
    known = await session.get(models.Subscription, number) if number else None
    if known is None or known.member_id != member_id:
        raise errors.RefusedError(_NOTHING)
    return await seats.locked(session, known.id)


async def _do(session: AsyncSession, here: site.Site, row: models.Subscription, form: Form) -> str:
    """What the form wants is done; says how the page shall be asked for then."""
    stack, now = here.stack, here.now
    match form.get("act"):
        case "invite":
            mark = str(form.get("mark", ""))
            if not _MARK.fullmatch(mark) or row.member_id is None:
                raise errors.RefusedError("Please try that once more.")
            note = "".join(sign for sign in str(form.get("note", "")) if sign.isprintable())
            await seats.invite(session, row, invitations.code_of(stack.settings, row.member_id, mark), note, now=now)
            return f"made={mark}"
        case "withdraw":
            which = (models.Invitation.id == _number(form, "id"), models.Invitation.subscription_id == row.id)
            return "said=withdrawn" if await invitations.withdraw(session, *which, now=now) else "said=gone"
        case "free":
            done = await grants.free(session, row, _number(form, "id"), stack.catalogue, now=now)
            return "said=freed" if done else "said=gone"
    raise errors.RefusedError("Please try that once more.")


def _number(form: Form, name: str) -> int:
    said = str(form.get(name, ""))
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 15 else 0


async def _page(
    request: web.Request, member_id: int, *, said: str = "", problem: str = "", status: int = 200
) -> web.Response:
    here = site.of(request)
    async with here.stack.db.reading() as session:
        rows = await seats.paid_by(session, member_id, now=here.now)
        teams = [await _team(session, here, row) for row in rows]
        made = await _made(request, session, member_id)
    facts = {"teams": teams, "made": made, "said": said, "problem": problem, "mark": secrets.token_urlsafe(12)}
    return site.page(request, "seats", status=status, **facts)


async def _made(request: web.Request, session: AsyncSession, member_id: int) -> dict[str, Any] | None:
    """The link of the invitation that was just made; nothing once it is used or withdrawn."""
    here, mark = site.of(request), request.query.get("made", "")
    if not _MARK.fullmatch(mark):
        return None
    code = invitations.code_of(here.stack.settings, member_id, mark)
    found = await invitations.find(session, code, now=here.now)
    if found is None:
        return None
    return {"url": invitations.url(here.stack.settings, code), "code": code, "invitation": found}


async def _team(session: AsyncSession, here: site.Site, row: models.Subscription) -> dict[str, Any]:
    plan, conf = here.stack.catalogue.by_key.get(row.plan), here.stack.settings
    more = row.status in subscriptions.LIVE and row.cancels_at is None
    return {
        "row": row,
        "plan": plan.name if plan else row.plan,
        "team": await seats.team(session, row, now=here.now),
        "until": given.paid_until(row, here.now),
        "more": links.url(conf, links.CHANGE, row.member_id or 0, row.plan, now=here.now) if more else "",
    }
