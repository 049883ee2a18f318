"""`signalstack verify`: a record is checked, from a file, from an address or from the own database.

Click is imported here and nothing else, so that `--help` stays quick.
"""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from core import errors

if TYPE_CHECKING:
    from core import stack
    from core.signals import proof

WithStack = Callable[["Callable[[stack.Stack], Coroutine[Any, Any, int]]"], int]
Plainly = Callable[[Awaitable[int]], Coroutine[Any, Any, int]]

_CHUNK = 64 * 1024
_PAGE = 2_000  # lines of the own record read at once
_LARGEST = 2 * 1024**3  # bytes from an address
_PATIENCE, _ANSWER, _WHOLE = 10.0, 30.0, 3600.0  # seconds to connect, between two pieces, and for everything
_HASH = re.compile(r"[0-9a-f]{12,64}")
_PROVES = """\
This shows: the order of the entries; that none up to a hash which somebody else kept (see --head) was changed, removed
or slipped in; and that every result follows from what was committed to when its signal was published.
It does not show: that anybody could have traded at these prices; or that nothing was rewritten after the last hash
that somebody else kept."""


def _hash(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    given = (value or "").strip().lower()
    if given and not _HASH.fullmatch(given):
        raise click.BadParameter("write a hash as it was posted, or at least its first 12 characters (0-9, a-f).")
    return given


def command(with_stack: WithStack, plainly: Plainly) -> click.Command:
    """The command; `with_stack` gives work an opened stack, `plainly` turns errors into sentences."""

    @click.command("verify")
    @click.argument("source", required=False)
    @click.option("--head", "wanted", callback=_hash, help="A hash that you saw elsewhere: is it in this record?")
    def verify(source: str | None, wanted: str) -> int:
        """Check a record, line by line: a FILE, a URL or, without either, the one in your own database."""
        if source:
            return asyncio.run(plainly(_elsewhere(source, wanted)))
        return with_stack(lambda held: _verdict(_own(held), wanted))

    return verify


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some bytes of a record, and how far they bring us of `size` (nought: nobody knows)."""

    data: bytes
    step: int
    size: int


Pieces = AsyncGenerator[_Piece, None]


async def _elsewhere(source: str, wanted: str) -> int:
    scheme = urlsplit(source).scheme.lower()
    if scheme in {"http", "https"}:
        return await _verdict(_fetched(_address(source)), wanted)
    if "://" in source:
        raise errors.RefusedError(f"{scheme}:// cannot be read; name a file, or an address with http:// or https://.")
    return await _verdict(_read(Path(source)), wanted)


def _address(source: str) -> str:
    """Where the lines are when somebody names the site or the page instead."""
    parts = urlsplit(source)
    path = {"": "/record.jsonl", "/": "/record.jsonl", "/record": "/record.jsonl"}.get(parts.path, parts.path)
    return parts._replace(path=path).geturl()


async def _read(path: Path) -> Pieces:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            while data := file.read(_CHUNK):
                yield _Piece(data, len(data), size)
    except OSError as error:
        raise errors.RefusedError(f"{path} cannot be read: {error.strerror or error}.") from error


async def _fetched(url: str) -> Pieces:
    import aiohttp  # noqa: PLC0415 - takes a moment to import

    patience = aiohttp.ClientTimeout(total=_WHOLE, sock_connect=_PATIENCE, sock_read=_ANSWER)
    try:
        async with (
            aiohttp.ClientSession(timeout=patience) as session,
            session.get(url, max_redirects=3) as answer,
        ):
            if answer.status != 200:
                raise errors.UnreachableError(f"{url} answers with status {answer.status} instead of a record.")
            taken, size = 0, answer.content_length or 0
            async for data in answer.content.iter_chunked(_CHUNK):
                taken += len(data)
                if taken > _LARGEST:
                    raise errors.RefusedError(f"{url} is larger than 2 GiB; download it and name the file.")
                yield _Piece(data, len(data), size)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise errors.UnreachableError(f"{url} cannot be read: {reason[:200]}") from error


async def _own(held: "stack.Stack") -> Pieces:
    from core.signals import entries, record  # noqa: PLC0415

    async with held.db.reading() as session:
        newest = await record.head(session)
    after = 0
    while after < newest.n:
        async with held.db.reading() as session:
            lines = await record.lines(session, after=after, until=newest.n, limit=_PAGE)
        if not lines:
            break
        after = lines[-1][0]
        yield _Piece("".join(f"{line}\n" for _, line in lines).encode(), len(lines), newest.n)
    yield _Piece(entries.trailer(*newest), 0, newest.n)


async def _verdict(pieces: Pieces, wanted: str) -> int:
    """The verdict has been said; 0 when the record is right and, with `wanted`, has that hash."""
    from core.signals import proof  # noqa: PLC0415

    try:
        report = await _checked(pieces, proof.Chain(wanted))
    except proof.BrokenError as error:
        click.echo(f"NOT RIGHT: {error}")
        return 1
    _say(report)
    if wanted and report.seen is None:
        click.echo(f"NOT FOUND: {wanted} is in no entry, so this is not the record that was public when you saw it.")
        return 1
    if wanted:
        click.echo(f"FOUND: {wanted} is the hash of entry {report.seen}; up to there all is as it was when you saw it.")
    click.echo(_PROVES)
    return 0


async def _checked(pieces: Pieces, chain: "proof.Chain") -> "proof.Report":
    from core.signals import entries  # noqa: PLC0415

    kept, size = b"", 0
    hidden = not sys.stderr.isatty()
    async with aclosing(pieces) as coming:
        with click.progressbar(length=0, label="Checking", file=sys.stderr, hidden=hidden) as bar:
            async for piece in coming:
                *lines, kept = (kept + piece.data).split(b"\n")
                for line in lines:
                    chain.take(line + b"\n")
                if len(kept) > entries.LONGEST:
                    chain.take(kept)
                if piece.size > size:
                    size = bar.length = piece.size
                bar.update(piece.step)
    if kept:
        chain.take(kept)
    return chain.end()


def _say(report: "proof.Report") -> None:
    click.echo(f"RIGHT: {report.entries} entries; every line, hash, commitment and result is right.")
    since = f", the oldest since {report.oldest}" if report.open else ""
    click.echo(f"Closed signals: {report.closed}, together {report.r:+.2f} R after costs; open: {report.open}{since}.")
    if report.unsealed:
        click.echo(f"From before the record, so not committed to when they were published: {report.unsealed}.")
    if report.entries:
        click.echo(f"From {report.first} to {report.last}, newest hash {report.head}")
