"""The front door: the command line, and the only file that sees `core`, `bot` and `webhooks` at once.

Vendors' libraries are slow to import, so every command imports what it needs, and `--help` imports nothing.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot import backtest, backup, drift, partners, plainly, verify
from core import errors

if TYPE_CHECKING:
    from core import catalogue, stack

FAILED, CONFIGURATION = 1, 78
ROLES = ("scheduler", "bot", "webhooks")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """SignalStack: signals from real markets to paying members."""


def main() -> None:
    """One command is carried out; whatever goes wrong is said in readable lines, with the documented exit code."""
    try:
        sys.exit(_carried_out())
    except KeyboardInterrupt:
        sys.exit(FAILED)


def _carried_out() -> int:
    try:
        result = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return FAILED
    except errors.ConfigError as error:
        for fault in error.faults:
            click.echo(f"Configuration: {fault}", err=True)
        return CONFIGURATION
    except errors.SignalStackError as error:
        click.echo(str(error), err=True)
        return FAILED
    return result if isinstance(result, int) else 0


def _with_stack(
    work: "Callable[[stack.Stack], Coroutine[Any, Any, int]]", *, migrated: bool = True, billing: bool = True
) -> int:
    """The exit code of this work on an opened stack; `billing` as in `settings.load`."""
    from core import log, settings  # noqa: PLC0415
    from core import stack as stacks  # noqa: PLC0415

    conf, book = settings.load(Path(".env"), billing=billing)
    log.setup(conf.log_level, conf.log_format)
    _check_strategies(book)

    async def opened() -> int:
        async with stacks.opened(conf, book) as held:
            if migrated:
                await _migrate_if_allowed(held)
            return await work(held)

    return asyncio.run(plainly.said(opened()))


def _check_strategies(book: "catalogue.Catalogue") -> None:
    """Every watch names a strategy that we have, with parameters that it takes; raises ConfigError otherwise.

    The operator's own strategies are known from then on.
    """
    from core import strategies  # noqa: PLC0415

    if book.strategies:
        strategies.load(Path(book.strategies))
    faults: list[str] = []
    for watch in book.watches:
        try:
            strategies.create(watch.strategy, watch.params)
        except errors.ConfigError as error:
            faults += [f"The watch '{watch.key}': {fault}" for fault in error.faults]
    if faults:
        raise errors.ConfigError(*faults)


async def _migrate_if_allowed(held: "stack.Stack") -> None:
    """An embedded database is brought up to date by itself; a shared one is migrated by its operator, once."""
    import migrations  # noqa: PLC0415

    if not await migrations.pending(held.db):
        return
    if held.db.dialect != "sqlite":
        raise errors.SignalStackError(
            "The database has another shape than this version needs; run: signalstack migrate"
        )
    await migrations.upgrade(held.db)


@cli.command()
@click.argument("roles", nargs=-1, type=click.Choice(ROLES))
def run(roles: tuple[str, ...]) -> int:
    """Run the product: the named ROLEs, or all of them in one process."""
    return _with_stack(lambda held: _run_roles(held, roles or ROLES))


async def _run_roles(held: "stack.Stack", roles: tuple[str, ...]) -> int:
    import structlog  # noqa: PLC0415

    from core import places, reporting, tracing  # noqa: PLC0415

    log = structlog.get_logger()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_exit, stop)
    tracing.begin(held.settings, ",".join(roles))
    reporting.begin(held.settings, ",".join(roles))
    async with held.db.transaction() as session:
        await places.sync(session, held.catalogue, now=held.clock())
    log.info("product_started", roles=roles, database=held.db.dialect, redis=held.redis is not None)
    try:
        async with asyncio.TaskGroup() as jobs:
            for role in dict.fromkeys(roles):
                jobs.create_task(_role(role)(held, stop), name=role)
    finally:
        log.info("product_stopped")
        await asyncio.to_thread(tracing.end)
        await asyncio.to_thread(reporting.end)
    return 0


def _stop_or_exit(stop: asyncio.Event) -> None:
    """The first request to stop is orderly; the second one is final."""
    if stop.is_set():
        os._exit(FAILED)
    stop.set()


def _role(name: str) -> "Callable[[stack.Stack, asyncio.Event], Coroutine[Any, Any, None]]":
    if name == "scheduler":
        from core import scheduler  # noqa: PLC0415

        return scheduler.run
    if name == "bot":
        from bot import runner  # noqa: PLC0415

        return runner.run
    from webhooks import server  # noqa: PLC0415

    return server.run


@cli.command()
def migrate() -> int:
    """Bring the database to the shape that this version needs."""

    async def work(held: "stack.Stack") -> int:
        import migrations  # noqa: PLC0415

        await migrations.upgrade(held.db)
        click.echo("The database is up to date.")
        return 0

    return _with_stack(work, migrated=False)


@cli.command()
def check() -> int:
    """Say line by line what is configured, reachable and permitted."""
    from bot import operator  # noqa: PLC0415

    return _with_stack(lambda held: operator.check(held, _check_payments), migrated=False)


async def _check_payments(held: "stack.Stack") -> str:
    from webhooks import payments  # noqa: PLC0415

    providers = payments.opened(held.settings, held.catalogue)
    if not providers:
        raise errors.SignalStackError("switched off; set STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET and STRIPE_PRICE_ID")
    known: dict[str, set[str]] = {}
    try:
        for provider in providers:
            known[provider.name] = {price.price_id for price in await provider.prices()}
    finally:
        for provider in providers:
            await provider.close()
    if missing := sorted(set(held.catalogue.by_price) - set().union(*known.values())):
        raise errors.SignalStackError(f"no such open price: {', '.join(missing)}")
    return ", ".join(f"{name} knows {len(found)} prices" for name, found in known.items())


@cli.command()
def scan() -> int:
    """Look at every watched market once, now, and print what was decided."""
    from bot import operator  # noqa: PLC0415

    return _with_stack(operator.scan)


@cli.command()
@click.argument("member")
@click.argument("plan", required=False)
@click.option("--days", type=click.IntRange(1, 3650), help="How long; without it, until you revoke it.")
def grant(member: str, plan: str | None, days: int | None) -> int:
    """Give MEMBER (telegram:123 or @name) a PLAN by hand."""
    from bot import operator  # noqa: PLC0415

    return _with_stack(lambda held: operator.grant(held, member, plan, days))


@cli.command()
@click.argument("member")
@click.argument("plan", required=False)
def revoke(member: str, plan: str | None) -> int:
    """Take back what was granted to MEMBER by hand; paid subscriptions stay."""
    from bot import operator  # noqa: PLC0415

    return _with_stack(lambda held: operator.revoke(held, member, plan))


@cli.command()
@click.option("--all", "everybody", is_flag=True, help="Also those without access.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each line.")
def members(everybody: bool, as_json: bool) -> int:
    """List the members, what they have and until when."""
    from bot import operator  # noqa: PLC0415

    return _with_stack(lambda held: operator.members(held, everybody=everybody, as_json=as_json))


@cli.group()
def stripe() -> None:
    """Prepare the payment provider."""


@stripe.command()
@click.option(
    "--amount", type=click.IntRange(1), help="In the smallest unit (2900 is 29.00), for plans without a price."
)
@click.option("--currency", default="usd", show_default=True)
@click.option("--interval", type=click.Choice(["day", "week", "month", "year"]), default="month", show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before something is made.")
def setup(amount: int | None, currency: str, interval: str, dry_run: bool, yes: bool) -> int:
    """Create products, prices, portal and webhook endpoint in your Stripe account; again and again without harm."""
    from webhooks.payments import stripe_setup, stripe_shelf  # noqa: PLC0415

    rate = stripe_shelf.Rate(amount, currency, interval) if amount else None
    agree = plainly.agreed(dry_run=dry_run, yes=yes or not sys.stdin.isatty())

    async def work(held: "stack.Stack") -> int:
        await stripe_setup.setup(held.settings, held.catalogue, rate, say=click.echo, agree=agree)
        return 0

    return _with_stack(work, migrated=False, billing=False)


@stripe.command()
def doctor() -> int:
    """Look at your Stripe account line by line: key, prices, portal, webhooks, taxes, subscriptions."""
    from webhooks.payments import stripe_doctor  # noqa: PLC0415

    return _with_stack(lambda held: stripe_doctor.examine(held, say=click.echo), billing=False)


cli.add_command(backup.backup(_with_stack))
cli.add_command(backup.drill(_with_stack))
cli.add_command(backtest.command(_with_stack, _check_strategies))
cli.add_command(drift.command(_with_stack))
cli.add_command(partners.command(_with_stack))
cli.add_command(verify.command(_with_stack, plainly.said))


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
