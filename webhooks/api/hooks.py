"""Outbound webhooks over the API: addresses of the caller's own tools that are told of signals."""

from datetime import datetime
from typing import Literal

from limits import RateLimitItemPerMinute
from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from core import hooks
from core.models import Hook
from webhooks import destinations
from webhooks import hooks as telling
from webhooks.api import frame, shapes

_TRIES = RateLimitItemPerMinute(6)


class New(frame.Shape):
    """Where to, and what is sent."""

    url: str = Field(
        min_length=1,
        max_length=destinations.LONGEST,
        description="An address on the public internet, by https, port 443 or 8443. Redirects are not followed.",
        examples=["https://tools.example.com/signals"],
    )
    form: Literal["json", "cornix"] = Field(
        "json", description="json: the event; cornix: a plain text block for tools that read words."
    )


class Resume(frame.Shape):
    """How to go on."""

    skip: bool = Field(False, description="True: what happened meanwhile is never told.")


class One(shapes.Form):
    """A hook of yours."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int = Field(examples=[3])
    url: str = Field(examples=["https://tools.example.com/signals"])
    form: Literal["json", "cornix"]
    state: Literal["active", "paused", "disabled"] = Field(
        description="paused by you, or disabled by us after a day of failures."
    )
    cursor: int = Field(description="The number of the last event that it has had, or that was not for it.")
    failures: int = Field(description="How often in a row it was not reached.")
    said: str = Field(description="What went wrong last; empty after success.")
    created_at: datetime
    told_at: datetime | None


class Made(One):
    """A hook with its secret, which is shown only here."""

    secret: str = Field(description="Checks signatures, as Standard Webhooks says.", examples=["whsec_…"])


class All(shapes.Form):
    """Your hooks, oldest first."""

    hooks: list[One]
    most: int = Field(description="How many you may have.", examples=[3])


class Gone(shapes.Form):
    """The hook is deleted."""

    deleted: int = Field(description="Its number.")


class Tried(shapes.Form):
    """What became of a test event."""

    taken: bool
    said: str = Field(examples=["It answered with 200."])


async def listed(call: frame.Call) -> frame.Reply:
    """The caller's hooks."""
    async with call.here.stack.db.reading() as session:
        found = await hooks.held(session, call.caller.member_id)
    return frame.Reply(All(hooks=[_shown(row) for row in found], most=hooks.MOST))


async def make(call: frame.Call) -> frame.Reply:
    """A new hook, with its secret."""
    conf = call.here.stack.settings
    destinations.checked(call.body.url, anywhere=destinations.anywhere(conf))
    async with call.here.stack.db.transaction() as session:
        row = await hooks.make(session, call.caller.member_id, call.body.url, call.body.form, now=call.here.now)
    return frame.Reply(_with_secret(call, row), 201)


async def delete(call: frame.Call) -> frame.Reply:
    """The hook is gone."""
    async with call.here.stack.db.transaction() as session:
        await session.delete(await _mine(call, session))
    return frame.Reply(Gone(deleted=call.path.id))


async def pause(call: frame.Call) -> frame.Reply:
    """The hook is told nothing until it is resumed."""
    async with call.here.stack.db.transaction() as session:
        row = await _mine(call, session)
        row.state = hooks.PAUSED
    return frame.Reply(_shown(row))


async def resume(call: frame.Call) -> frame.Reply:
    """The hook is told again."""
    async with call.here.stack.db.transaction() as session:
        row = await _mine(call, session)
        await hooks.resume(session, row, skip=call.body.skip, now=call.here.now)
    call.here.stack.bell.ring(telling.TOPIC)
    return frame.Reply(_shown(row))


async def rotate(call: frame.Call) -> frame.Reply:
    """The hook has a new secret; messages from now on are signed with it."""
    async with call.here.stack.db.transaction() as session:
        row = await _mine(call, session)
        row.version += 1
    return frame.Reply(_with_secret(call, row))


async def tried(call: frame.Call) -> frame.Reply:
    """A test event was posted once; what became of it."""
    async with call.here.stack.db.transaction() as session:
        row = await _mine(call, session)
    outcome = await call.request.app[telling.KEY].post(row.url, row, telling.trial(row, call.here.now))
    return frame.Reply(Tried(taken=outcome.taken, said=outcome.said))


async def _mine(call: frame.Call, session: AsyncSession) -> Hook:
    row = await hooks.one(session, call.caller.member_id, call.path.id)
    if row is None:
        raise frame.RefusalError(404, "not_found", f"You have no hook {call.path.id}.")
    return row


def _shown(row: Hook) -> One:
    return One.model_validate(row)


def _with_secret(call: frame.Call, row: Hook) -> Made:
    key = hooks.secret(call.here.stack.settings, row.id, row.version)
    return Made(**_shown(row).model_dump(), secret=key)


_UNKNOWN = {404: "You have no hook of this number."}
ENDPOINTS = (
    frame.Endpoint(
        method="GET",
        path="/api/v1/hooks",
        name="hooks_list",
        summary="Your outbound webhooks",
        answer=listed,
        returns={200: All},
        paying=False,
        tag="hooks",
    ),
    frame.Endpoint(
        method="POST",
        path="/api/v1/hooks",
        name="hooks_make",
        summary="Have an address of yours told of signals as they happen",
        more="Headers and signature follow Standard Webhooks; docs/stream.md has the details. The answer shows the "
        "secret once.",
        answer=make,
        body=New,
        returns={201: Made},
        refusals={409: "You have enough of them, or the address is not on the public internet."},
        tag="hooks",
    ),
    frame.Endpoint(
        method="DELETE",
        path="/api/v1/hooks/{id}",
        name="hooks_delete",
        summary="Delete a hook",
        answer=delete,
        of=frame.Number,
        returns={200: Gone},
        refusals=_UNKNOWN,
        paying=False,
        tag="hooks",
    ),
    frame.Endpoint(
        method="POST",
        path="/api/v1/hooks/{id}/pause",
        name="hooks_pause",
        summary="Tell a hook nothing for a while",
        answer=pause,
        of=frame.Number,
        returns={200: One},
        refusals=_UNKNOWN,
        paying=False,
        tag="hooks",
    ),
    frame.Endpoint(
        method="POST",
        path="/api/v1/hooks/{id}/resume",
        name="hooks_resume",
        summary="Tell a hook again that was paused or disabled",
        more="It goes on after the last event that it had, or with `skip` only with what happens from now on.",
        answer=resume,
        of=frame.Number,
        body=Resume,
        returns={200: One},
        refusals=_UNKNOWN,
        tag="hooks",
    ),
    frame.Endpoint(
        method="POST",
        path="/api/v1/hooks/{id}/rotate",
        name="hooks_rotate",
        summary="A new secret for a hook",
        more="Messages are signed with it at once; the answer shows it once.",
        answer=rotate,
        of=frame.Number,
        returns={200: Made},
        refusals=_UNKNOWN,
        paying=False,
        tag="hooks",
    ),
    frame.Endpoint(
        method="POST",
        path="/api/v1/hooks/{id}/test",
        name="hooks_test",
        summary="Send a test event to a hook now",
        answer=tried,
        of=frame.Number,
        returns={200: Tried},
        rule=_TRIES,
        refusals=_UNKNOWN,
        tag="hooks",
    ),
)
