"""The command that holds a strategy against the candles we have stored; a job of the scheduler computes it."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from bot import lists, messages
from bot.commands import asking
from core import catalogue, rights, strategies
from core.backtest import jobs
from core.market import timeframes

_ALONE = timedelta(minutes=13)
"""So long we can answer where only the asker sees it and which is not their private chat."""


async def backtest(session: AsyncSession, visit: asking.Visit) -> messages.Message:
    """The backtest that the words name (a pair, a strategy, a timeframe) is on its way, or what is missing is asked."""
    desk, member_id = visit.desk, visit.identity.member_id
    held = await rights.plans_of(session, member_id, now=desk.now)
    if not held & desk.catalogue.by_key.keys():
        return messages.backtests.for_subscribers()
    chosen = _chosen(visit.argument.split(), desk.catalogue)
    if isinstance(chosen, messages.Message):
        return chosen
    symbol, strategy, timeframe = chosen
    home, where = visit.identity.address, visit.where or visit.identity.address
    question = jobs.Question(
        member_id=member_id,
        symbol=symbol,
        strategy=strategy,
        timeframe=timeframe,
        platform=visit.identity.platform,
        address=where,
        home=home,
        until=None if where == home else desk.now + _ALONE,
    )
    job, new = await jobs.ask(session, question, now=desk.now)
    if job.state == "done" and job.result is not None:
        return messages.backtests.result({"id": job.id, **job.result}, desk.catalogue.service)
    return messages.backtests.running(question.subject, new=new)


def _chosen(words: Sequence[str], book: catalogue.Catalogue) -> tuple[str, str, str] | messages.Message:
    """What the words mean, in whatever order they come; or the question for what they leave open."""
    watched = sorted({watch.symbol for watch in book.watches})
    known = strategies.names()
    pairs: list[str] = watched
    rules, frames, unknown = list[str](), list[str](), ""
    for word in words:
        said = word.lower()
        if said in known:
            rules = [said]
        elif _is_timeframe(word):
            frames = [word]
        elif found := lists.meant(word, watched):
            pairs = found
        else:
            unknown = word
    if len(pairs) != 1:
        more = " ".join([*rules, *frames])
        return _ask("pair", [(pair, f"/backtest {pair} {more}".strip()) for pair in pairs], unknown=unknown)
    if unknown or not rules:
        tail = f" {frames[0]}" if frames else ""
        named = [(rule.replace("_", " "), f"/backtest {pairs[0]} {rule}{tail}") for rule in rules or known]
        return _ask("strategy", named, unknown=unknown)
    return _on(pairs[0], rules[0], frames, book)


def _is_timeframe(word: str) -> bool:
    try:
        timeframes.seconds(word)
    except (KeyError, ValueError):
        return False
    return True


def _on(
    symbol: str, rule: str, frames: Sequence[str], book: catalogue.Catalogue
) -> tuple[str, str, str] | messages.Message:
    """With the timeframe that is meant: only those that are watched have candles."""
    stored = sorted({watch.timeframe for watch in book.watches if watch.symbol == symbol}, key=timeframes.seconds)
    fit = [name for name in stored if name in frames] if frames else stored
    if len(fit) == 1:
        return symbol, rule, fit[0]
    choices = [(name, f"/backtest {symbol} {rule} {name}") for name in stored]
    return _ask(f"timeframe of {symbol}", choices, unknown="" if fit else frames[0])


def _ask(what: str, choices: Sequence[tuple[str, str]], *, unknown: str = "") -> messages.Message:
    return messages.backtests.which(what, choices[:30], unknown=unknown)
