"""`signalstack drift-report`: what was published held against a backtest of the stored candles."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from bot import backtest

if TYPE_CHECKING:
    from core import stack


def command(with_stack: backtest.WithStack) -> click.Command:
    """The command `drift-report`."""

    @click.command("drift-report")
    @click.option("--since", type=backtest.Moment(), help="Signals from then on; without it, the last seven days.")
    @click.option("--until", type=backtest.Moment(), help="Signals before then; without it, now.")
    @click.option("--json", "as_json", is_flag=True, help="As JSON.")
    def drift_report(since: datetime | None, until: datetime | None, as_json: bool) -> int:
        """Compare what was published with a backtest of the stored candles; exit code 1 where they differ."""
        return with_stack(lambda held: _compared(held, since, until, as_json=as_json))

    return drift_report


async def _compared(held: "stack.Stack", since: datetime | None, until: datetime | None, *, as_json: bool) -> int:
    from bot.messages import drifted  # noqa: PLC0415
    from core.backtest import drift  # noqa: PLC0415

    until = until or held.clock()
    since = since or until - timedelta(days=7)
    found = await drift.compared(held.db, held.catalogue, since=since, until=until)
    told = drift.told(found, since=since, until=until)
    if as_json:
        click.echo(json.dumps(told, indent=2))
    elif found:
        click.echo("\n".join("".join(span.text for span in line) for line in drifted.report(told).lines))
    else:
        click.echo("No watch was judged in this time, so there is nothing to compare.")
    return 1 if any(one.differences for one in found) else 0
