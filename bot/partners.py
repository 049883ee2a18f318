"""`signalstack partners`: who brings members, and how many of them pay."""

from typing import TYPE_CHECKING

import click

from bot import backtest

if TYPE_CHECKING:
    from core import stack


def command(with_stack: backtest.WithStack) -> click.Command:
    """The command, given how work on a stack is done."""

    @click.command()
    def partners() -> int:
        """List the partners, and how many members each has brought; codes are made in chat with /partners."""
        return with_stack(show)

    return partners


async def show(held: "stack.Stack") -> int:
    """One line for each partner."""
    from bot.messages import partners as words  # noqa: PLC0415
    from core.billing import partners  # noqa: PLC0415

    async with held.db.reading() as session:
        rows = await partners.numbers(session)
    for one in rows:
        click.echo(f"{one.partner.code}  {words.said(one)}")
    if not rows:
        click.echo("Nobody has a code yet; an operator makes one in chat: /partners add CODE NAME.")
    return 0
