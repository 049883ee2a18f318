"""Backtests over the API: asked for, and looked at until they are done."""

from datetime import datetime
from typing import Any

import pydantic

from core import catalogue, strategies
from core.backtest import jobs
from core.models import Backtest
from webhooks import limits
from webhooks.api import frame


class Run(frame.Shape):
    """What to try; the strategy and timeframe of the market's first watch where they are left out."""

    symbol: str = pydantic.Field(description="A watched market.", examples=["BTC/USDT"], max_length=45)
    strategy: str = pydantic.Field("", description="One of the strategies.", examples=["mean_reversion"], max_length=40)
    timeframe: str = pydantic.Field("", description="One that is watched.", examples=["1h"], max_length=4)


class Number(frame.Shape):
    """The number of a backtest."""

    id: int = pydantic.Field(ge=1, le=2**53)


class Job(pydantic.BaseModel):
    """A backtest: state is pending, running, done or failed; `result` stands there when it is done."""

    id: int
    state: str = pydantic.Field(examples=["done"])
    created_at: datetime
    finished_at: datetime | None
    error: str = ""
    result: dict[str, Any] | None = pydantic.Field(None, description="Costs, summary and equity in R; see the docs.")


async def run(call: frame.Call) -> frame.Reply:
    """A job that runs soon; the same question within an hour is the same job."""
    watch = _watch(call, call.body)
    name = call.body.strategy or watch.strategy
    if name not in strategies.names():
        known = ", ".join(strategies.names())
        raise frame.RefusalError(422, "invalid", f"body.strategy: there is no “{name}”; known are {known}.")
    question = jobs.Question(call.caller.member_id, watch.symbol, name, watch.timeframe)
    async with call.here.stack.db.transaction() as session:
        row, _ = await jobs.ask(session, question, now=call.here.now)
        job = _shown(row)
    call.here.stack.bell.ring(jobs.TOPIC)
    return frame.Reply(job, 202, {"Location": f"/api/v1/backtest/{job.id}", "Cache-Control": "no-store"})


def _watch(call: frame.Call, asked: Run) -> catalogue.Watch:
    """The watch whose candles are used; members see only markets that their plans open."""
    found = [one for one in call.here.stack.catalogue.watches if one.symbol == asked.symbol]
    if not found or not call.caller.has(asked.symbol):
        raise frame.RefusalError(422, "invalid", f"body.symbol: your plan watches no market “{asked.symbol}”.")
    fits = [one for one in found if asked.timeframe in {"", one.timeframe}]
    if not fits:
        known = ", ".join(sorted({one.timeframe for one in found}))
        raise frame.RefusalError(422, "invalid", f"body.timeframe: {asked.symbol} is watched at {known}.")
    return fits[0]


async def show(call: frame.Call) -> frame.Reply:
    """One backtest of the caller."""
    async with call.here.stack.db.reading() as session:
        row = await session.get(Backtest, call.path.id)
        if row is None or row.member_id != call.caller.member_id:
            raise frame.RefusalError(404, "not_found", f"You have no backtest {call.path.id}.")
        return frame.Reply(_shown(row))


def _shown(row: Backtest) -> Job:
    return Job(
        id=row.id,
        state=row.state,
        created_at=row.created_at,
        finished_at=row.finished_at,
        error=row.error or "",
        result=row.result,
    )


ENDPOINTS = (
    frame.Endpoint(
        method="POST",
        path="/api/v1/backtest/run",
        name="backtest_run",
        summary="Ask for a backtest over the stored candles of a market",
        answer=run,
        body=Run,
        returns={202: Job},
        rule=limits.HEAVY,
        refusals=(409,),
    ),
    frame.Endpoint(
        method="GET",
        path="/api/v1/backtest/{id}",
        name="backtest_show",
        summary="How a backtest of yours is doing, and its result",
        answer=show,
        of=Number,
        returns={200: Job},
        refusals=(404,),
    ),
)
