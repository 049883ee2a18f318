"""Backtests over the API: asked for, and looked at until they are done."""

from datetime import datetime
from typing import Any

import pydantic

from core import strategies
from core.backtest import jobs
from core.models import Backtest
from webhooks import limits
from webhooks.api import frame, market


class Run(frame.Shape):
    """What to try; the strategy and timeframe of the market's first watch where they are left out."""

    symbol: str = pydantic.Field(description="A watched market.", examples=["BTC/USDT"], max_length=45)
    strategy: str = pydantic.Field("", description="One of the strategies.", examples=["mean_reversion"], max_length=40)
    timeframe: str = pydantic.Field("", description="One that is watched.", examples=["1h"], max_length=4)


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
    watch = market.watched(call, call.body.symbol, call.body.timeframe, "body")
    name = call.body.strategy or watch.strategy
    if name not in strategies.names():
        known = ", ".join(strategies.names())
        raise frame.RefusalError(404, "not_found", f"body.strategy: there is no “{name}”; known are {known}.")
    question = jobs.Question(call.caller.member_id, watch.symbol, name, watch.timeframe)
    async with call.here.stack.db.transaction() as session:
        row, _ = await jobs.ask(session, question, now=call.here.now)
        job = _shown(row)
    call.here.stack.bell.ring(jobs.TOPIC)
    return frame.Reply(job, 202, {"Location": f"/api/v1/backtest/{job.id}", "Cache-Control": "no-store"})


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
        refusals={
            404: "There is no such market, timeframe or strategy for you.",
            409: "So many of your backtests wait already.",
        },
        headers={"Location": "Where the backtest is looked at."},
        tag="backtests",
    ),
    frame.Endpoint(
        method="GET",
        path="/api/v1/backtest/{id}",
        name="backtest_show",
        summary="How a backtest of yours is doing, and its result",
        answer=show,
        of=frame.Number,
        returns={200: Job},
        refusals={404: "You have no backtest of this number."},
        tag="backtests",
    ),
)
