"""`make prove`: the long proofs, each on its own servers, each printing its figures; exit 1 when one fails."""

import argparse
import asyncio
import functools
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypothesis.stateful import run_state_machine_as_test

from core import log
from tests import databases, servers
from tests.core import test_membership_machine
from tests.proofs import (
    entitlement,
    equality,
    failpoints,
    hostile,
    kill,
    outages,
    posts,
    reconcile,
    road,
    schema,
    several,
    storm,
    stream,
    sweep,
)


async def _kill(folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    scale = kill.Scale(seed=options.seed, signals=options.signals, kills=options.kills)
    outcome = await kill.prove(folder, database_url, scale)
    print(outcome)
    return outcome.ok


async def _failpoints(folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    outcome = await failpoints.prove(folder, database_url, failpoints.Scale(kills=options.kills, seed=options.seed))
    print(outcome)
    return outcome.ok


async def _storm(_folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    outcome = await storm.prove(database_url, storm.Scale(events=options.events, seed=options.seed))
    print(outcome)
    return outcome.ok


async def _reconcile(_folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    scale = reconcile.Scale(subscriptions=options.subscriptions, seed=options.seed)
    outcome = await reconcile.prove(database_url, scale)
    print(outcome)
    return outcome.ok


async def _outages(folder: Path, _: str, options: argparse.Namespace) -> bool:
    outcome = await outages.prove(folder, outages.Scale(rounds=options.rounds, seed=options.seed))
    print(outcome)
    return outcome.ok


async def _several(folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    with servers.run() as run:
        redis = servers.Redis(run.folder / "redis")
        await asyncio.to_thread(redis.start)
        scale = several.Scale(rounds=options.rounds, kills=options.kills, seed=options.seed)
        outcome = await several.prove(folder, database_url, redis.url, scale)
    print(outcome)
    return outcome.ok


async def _road(folder: Path, _: str, options: argparse.Namespace) -> bool:
    good = True
    for timeframe in ("1h", "5m"):
        (folder / timeframe).mkdir()
        outcome = await road.prove(folder / timeframe, road.Scale(timeframe=timeframe, candles=options.candles))
        print(outcome)
        good &= outcome.ok
    return good


async def _posts(folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    outcome = await posts.prove(folder, database_url, posts.Scale(seed=options.seed, kills=options.post_kills))
    print(outcome)
    return outcome.ok


async def _sweep(folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    outcome = await sweep.prove(folder, database_url, sweep.Scale(members=options.members))
    print(outcome)
    return outcome.ok


async def _stream(folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    with servers.run() as run:
        redis = servers.Redis(run.folder / "redis")
        await asyncio.to_thread(redis.start)
        scale = stream.Scale(consumers=options.consumers, signals=options.stream_signals, seed=options.seed)
        outcome = await stream.prove(folder, database_url, scale, redis_url=redis.url)
    print(outcome)
    return outcome.ok


async def _membership(_folder: Path, _: str, options: argparse.Namespace) -> bool:
    """The state machine has a loop of its own, so it runs in a thread; it raises what it finds."""
    began = time.monotonic()
    bounds = test_membership_machine.bounds(options.sequences, 40)
    work = functools.partial(run_state_machine_as_test, test_membership_machine.Memberships, settings=bounds)
    await asyncio.to_thread(work)
    print(f"GOOD: {options.sequences} sequences of up to 40 steps in {time.monotonic() - began:.0f} s")
    return True


async def _entitlement(_folder: Path, _: str, options: argparse.Namespace) -> bool:
    scale = entitlement.Scale(sequences=options.histories, steps=options.steps, seed=options.seed)
    outcome = await asyncio.to_thread(entitlement.prove, scale)
    print(outcome)
    return outcome.ok


async def _equality(folder: Path, _: str, options: argparse.Namespace) -> bool:
    outcome = await equality.prove(
        folder, equality.Scale(five_minutes=options.five_minutes, workers=os.cpu_count() or 1)
    )
    print(outcome)
    return outcome.ok


async def _schema(folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    outcome = await schema.prove(folder, database_url, schema.Scale(examples=options.cases, seed=options.seed))
    print(outcome)
    return outcome.ok


async def _hostile(folder: Path, database_url: str, options: argparse.Namespace) -> bool:
    outcome = await hostile.prove(folder, database_url, hostile.Scale(clients=options.clients))
    print(outcome)
    return outcome.ok


PROOFS: dict[str, Callable[[Path, str, argparse.Namespace], Awaitable[bool]]] = {
    "kill": _kill,
    "failpoints": _failpoints,
    "storm": _storm,
    "reconcile": _reconcile,
    "outages": _outages,
    "several": _several,
    "road": _road,
    "sweep": _sweep,
    "posts": _posts,
    "stream": _stream,
    "membership": _membership,
    "entitlement": _entitlement,
    "equality": _equality,
    "hostile": _hostile,
    "schema": _schema,
}


def main() -> int:
    """The named proofs, or all of them, were run."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    parser.add_argument("proofs", nargs="*", choices=[*PROOFS, []], default=[])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--signals", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5, help="of outages, of pauses and sleeping leaders")
    parser.add_argument("--candles", type=int, default=1000, help="of the road, for each timeframe")
    parser.add_argument("--post-kills", type=int, default=200, help="while signals are posted in Discord's channels")
    parser.add_argument("--sequences", type=int, default=200, help="of what happens to memberships in places")
    parser.add_argument("--histories", type=int, default=50_000, help="of what is paid and what is heard of it")
    parser.add_argument("--steps", type=int, default=12, help="of each of them, at most")
    parser.add_argument("--five-minutes", type=float, default=0.25, help="share of the 5-minute candles, of equality")
    parser.add_argument("--consumers", type=int, default=500, help="of the stream")
    parser.add_argument("--stream-signals", type=int, default=1000, help="that they follow")
    parser.add_argument("--members", type=int, default=10_000, help="of the rounds, on each chat")
    parser.add_argument("--cases", type=int, default=200, help="at most for each operation of the API, of schema")
    parser.add_argument("--clients", type=int, default=500, help="that are slow or oversized on purpose, of hostile")
    parser.add_argument("--events", type=int, default=10_000, help="of the storm")
    parser.add_argument("--subscriptions", type=int, default=10_000, help="of reconcile")
    options = parser.parse_args()
    log.setup("error")  # where the product runs in this process, its lines would bury the figures
    good = True
    with servers.run() as run, databases.Maker(servers.shared(run.folder, servers.Postgres)) as maker:
        for name in options.proofs or PROOFS:
            print(f"--- {name}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                good &= asyncio.run(PROOFS[name](Path(folder), maker.filled(), options))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
