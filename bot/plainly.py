"""What an operator reads when a command fails, and before one changes something elsewhere.

A failure is one sentence; a bug of ours leaves its trace in the log, too.
"""

from collections.abc import Awaitable, Callable, Sequence

import click

from core import errors


async def said(work: Awaitable[int]) -> int:
    """The work's exit code; raises one SignalStackError for whatever stopped it."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - whatever it is, an operator reads a sentence
        raise _plain(_leaves(error)) from None


def agreed(*, dry_run: bool, yes: bool) -> Callable[[Sequence[str]], bool]:
    """Whether what a command is about to do may be done: it is shown and asked, unless everything was said before."""

    def agree(plan: Sequence[str]) -> bool:
        if yes and not dry_run:
            return True
        click.echo("This is what would be done:")
        for line in plan:
            click.echo(f"  {line}")
        if not dry_run and click.confirm("Do it?"):
            return True
        click.echo("Nothing was done.")
        return False

    return agree


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in error.exceptions for leaf in _leaves(part)]


def _plain(causes: list[BaseException]) -> errors.SignalStackError:
    from core import db  # noqa: PLC0415

    if faults := [fault for error in causes if isinstance(error, errors.ConfigError) for fault in error.faults]:
        return errors.ConfigError(*dict.fromkeys(faults))
    if known := [error for error in causes if isinstance(error, errors.SignalStackError)]:
        return known[0]
    cause = causes[0]
    if db.is_unavailable(cause):
        reason = str(getattr(cause, "orig", None) or cause).splitlines() or [type(cause).__name__]
        return errors.UnreachableError(f"The database is not available: {reason[0][:200]}")
    import structlog  # noqa: PLC0415

    structlog.get_logger().error("product_failed", error=type(cause).__name__, exc_info=cause)
    return errors.SignalStackError(f"Something went wrong inside ({type(cause).__name__}); the log has the details.")
