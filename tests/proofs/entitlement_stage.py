"""Where the proof of entitlement plays: the product and Stripe's stand-in in one process, on one thread.

Everything is real but two sockets and one thread: the vendor's library reaches the stand-in by a call
(tests/sandbox/stripe_inside.py), events are signed, verified and put into the tray by a call, and SQLite's driver runs
where it is asked instead of in a thread of its own, so that thousands of histories fit into a minute and each is the
same every time. A history begins from a scene: the database and the account as they once were.
"""

import asyncio
import contextlib
import pickle
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import aiosqlite
import orjson
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text

from core import catalogue, db, errors, members, rights, settings, stack
from core.billing import checkouts
from tests import databases
from tests.proofs import entitlement_model as model
from tests.sandbox import stripe_checkout, stripe_events
from tests.sandbox.history import History
from tests.sandbox.stripe import Stripe
from tests.sandbox.stripe_account import Account
from tests.sandbox.stripe_inside import InsideClient
from tests.sandbox.stripe_wire import Obj
from webhooks import checkout, errands, events, payments, prices, reconcile, site, sweep
from webhooks.payments import stripe_setup, stripe_wire

START = datetime(2026, 1, 15, 12, tzinfo=UTC)
SECRET, KEY = "whsec_of_the_proof", "sk_test_of_the_proof"
PRICES = {"price_month": ("signals", 2900, "month"), "price_year": ("signals", 29_000, "year")}
PRICES |= {"price_pro": ("pro", 7900, "month")}
VERSIONS = ("2025-02-24.acacia", "2025-03-31.basil", "2026-10-28.endive")
_BATCH = 20  # so many events are claimed at once: fewer were all there are
WAYS = ("card", "card", "trial", "elsewhere", "sepa", "sepa_fails", "fails_later")
BRAKE = "brake:billing:stripe"
_RELEASED = text("UPDATE rounds SET released_by = 'telegram:1' WHERE held > 0")
_UNDONE = text(
    "SELECT (SELECT count(*) FROM inbox WHERE state != 'done'), (SELECT count(*) FROM inbox WHERE state = 'dead'), "
    "(SELECT count(*) FROM errands WHERE state IN ('pending', 'claimed'))"
)


class _Here:
    """The queue of a driver that has no thread: what is put into it has been done."""

    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, work = item
        result = work()
        if future:
            future.set_result(result)


class _Inline(aiosqlite.Connection):
    """SQLite's driver, on the thread that asks."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, 64)
        self._tx: Any = _Here()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    def __await__(self) -> Any:
        return self._connect().__await__()


def _inline(database: str, **options: Any) -> _Inline:
    return _Inline(lambda: sqlite3.connect(database, **options))


@dataclass(frozen=True)
class Scene:
    """The database's pages, and the account's and the API's memory, at a moment that histories begin from."""

    pages: bytes
    account: bytes
    members: dict[str, int]


class Stage:
    """The product at work in this process, and the account at which its members pay."""

    def __init__(self, choices: model.Choices, **account: Any) -> None:
        self.choices = choices
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="entitlement"))
        self.skew = 0.0
        self._known: dict[object, Any] = {}  # what was asked since something was last written
        self.members: dict[str, int] = {}
        self.scenes: dict[str, Scene] = {}
        self._exits = contextlib.AsyncExitStack()
        self.stripe = Stripe(History(), api_key=KEY, webhook_secret=SECRET, now=START.timestamp)
        self.stripe.base_url = "http://stripe.inside"
        for name, value in account.items():
            setattr(self.stripe.account, name, value)
        for price_id, (plan, amount, every) in PRICES.items():
            self.stripe.add_price(amount, "usd", every, id=price_id, name=plan)
        self.inside = InsideClient(self.stripe.api)
        self.do(self._open())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def _open(self) -> None:
        url = f"sqlite:///{self.folder / 'stage.db'}"
        await databases.create_tables(url)
        self.database = db.Database(url)
        sqlalchemy_event.listen(self.database.engine.sync_engine, "commit", lambda _: self._known.clear())
        inline = {"async_creator_fn": _inline}
        engine = self.database.engine.sync_engine
        sqlalchemy_event.listen(engine, "do_connect", lambda _dialect, _record, _args, asked: asked.update(inline))
        book = _catalogue(self.choices)
        conf = settings.Settings(
            _env_file=None,
            database_url=url,
            secret_key="a-secret-of-the-proofs",
            public_url="https://signals.example",
            stripe_api_url=self.stripe.base_url,
            stripe_api_key=KEY,
            stripe_webhook_secret=SECRET,
            grace_days=self.choices.grace_days,
        )
        made = await self._exits.enter_async_context(stack.opened(conf, book, now=lambda: self.now))
        made = replace(made, db=self.database)
        with mock.patch.object(stripe_wire, "http", return_value=self.inside):
            self.here = site.Site(made, payments.opened(conf, book))
        (self.provider,) = self.here.providers
        await prices.refresh(self.here, self.provider)

    def close(self) -> None:
        """Nothing is held open, and nothing is left on the disk."""
        self.do(self._exits.aclose())
        self.do(self.database.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    @property
    def now(self) -> datetime:
        """This moment by the product's clock, which may differ from Stripe's by `skew` seconds."""
        return datetime.fromtimestamp(self.stripe.now(), UTC) + timedelta(seconds=self.skew)

    # --- scenes

    def scene(self) -> Scene:
        """How everything stands now."""
        with contextlib.closing(sqlite3.connect(self.folder / "stage.db")) as file:
            pages = bytearray(file.serialize())
        pages[18:20] = b"\x01\x01"  # without a log beside it, or it could not be opened in memory
        return Scene(bytes(pages), pickle.dumps(self._memory()), dict(self.members))

    def begin_from(self, scene: Scene) -> None:
        """Everything stands as it stood then; ids that the product gives are the same again."""
        with (
            contextlib.closing(sqlite3.connect(":memory:")) as then,
            contextlib.closing(sqlite3.connect(self.folder / "stage.db")) as file,
        ):
            then.deserialize(scene.pages)
            then.backup(file)
        self._known.clear()
        account, self.stripe.api.kept = pickle.loads(scene.account)  # noqa: S301 - our own bytes
        vars(self.stripe.account).update(account)
        self.stripe.account.history.events.clear()
        self.stripe.api.faults.clear()
        self.members, self.skew, self.inside.away = dict(scene.members), 0.0, False

    def _memory(self) -> Any:
        account = vars(self.stripe.account)
        kept = {name: account[name] for name in account if isinstance(account[name], dict | list | float)}
        del kept["due"], kept["step"]
        return kept, self.stripe.api.kept

    def passes(self, seconds: float) -> None:
        """The clocks stand later, and what fell due on the way has happened at the provider."""
        for _ in self.stripe.account.advancing(seconds):
            pass

    def steps_back(self, seconds: float) -> None:
        """The product's clock was set back a little."""
        self.skew = max(-200.0, self.skew - seconds)

    # --- the channel

    async def deliver(self, told: Sequence[Obj], version: str) -> None:
        """These events have arrived at the product's door, in this order, and were stored there."""
        stored = []
        for event in told:
            shown = stripe_events.in_version(event, version, self.stripe.account)
            raw = orjson.dumps({**shown, "api_version": version}, option=orjson.OPT_INDENT_2)
            signed = stripe_events.signature(raw.decode(), int(time.time()), [SECRET])
            found = self.provider.verify(raw, {"Stripe-Signature": signed})
            stored.append(self.here.tray.put(self.provider.inbox, found.id, found.kind, found.body))
            event["pending_webhooks"] = 0
        await asyncio.gather(*stored)

    # --- the product

    async def arrive(self, name: str) -> None:
        """The member is known to the bot."""
        async with self.database.transaction() as session:
            who = await members.arrive(
                session, "telegram", name, address=name, name=name, username=name.lower(), now=self.now
            )
            self.members[name] = who.member_id

    async def page(self, member_id: int, price_id: str, trial_days: int = 0) -> str:
        """The session at Stripe to which the checkout page leads this member; empty when the product refuses one."""
        plan = self.here.stack.catalogue.by_price[price_id]
        choice = checkouts.Choice(plan, price_id, trial_days=trial_days)
        try:
            url = await checkout.pay_page(self.here, self.provider, member_id, choice)
        except (errors.RefusedError, errors.UnreachableError):
            return ""
        return url.rsplit("/", 1)[-1]

    async def work(self) -> None:
        """Events and errands that are due were worked off, and what followed from them."""
        while True:
            number = await events.work_off(self.here, self.provider)
            if number < _BATCH and not await errands.work_off(self.here, self.provider):
                return

    async def sweeps(self) -> None:
        """One round of the sweep of a process that has just started was made, and what it found was worked off."""
        with contextlib.suppress(errors.UnreachableError):
            await sweep.Sweep(self.here, self.provider).round()
        await self.work()

    async def compares(self) -> None:
        """A pass through all that the provider lists was made, and what it found was worked off."""
        comparing = reconcile.Reconcile(self.here, self.provider, pause=0)
        await comparing.step()
        await self.work()
        if await self.alarmed(BRAKE):  # the operator has looked, and it is right
            async with self.database.transaction() as session:
                await session.execute(_RELEASED)
            await comparing.step()
            await self.work()

    async def undone(self) -> tuple[int, int, int]:
        """How many events wait or were given up, how many of them were given up, and how many errands wait."""
        if "undone" not in self._known:
            async with self.database.glancing() as session:
                row = (await session.execute(_UNDONE)).one()
            self._known["undone"] = row[0], row[1], row[2]
        found: tuple[int, int, int] = self._known["undone"]
        return found

    async def plans(self) -> dict[str, set[str]]:
        """What each member has now, by the product's own question."""
        now = self.now
        if now not in self._known:
            async with self.database.reading() as session:
                asked = {name: await rights.plans_of(session, who, now=now) for name, who in self.members.items()}
            self._known[now] = asked
        found: dict[str, set[str]] = self._known[now]
        return found

    async def alarmed(self, key: str) -> bool:
        """Whether this alarm stands."""
        async with self.database.glancing() as session:
            open_one = text("SELECT count(*) FROM alarms WHERE key = :key AND cleared_at IS NULL")
            return bool(await session.scalar(open_one, {"key": key}))


def other_page(acc: Account, member_id: int, price_id: str) -> str:
    """A page to pay on that the product does not know of: another installation's, or one made by hand."""
    ours = {"signalstack_member": str(member_id), "signalstack_plan": PRICES[price_id][0]}
    asked = {
        "mode": "subscription",
        "success_url": "https://signals.example/thanks",
        "client_reference_id": str(member_id),
        "line_items": [{"price": price_id, "quantity": 1}],
        "subscription_data": {"metadata": ours},
        "metadata": ours,
    }
    return str(stripe_checkout.open_session(acc, asked)["id"])


def _catalogue(choices: model.Choices) -> catalogue.Catalogue:
    policy = catalogue.Policy(
        paused_collection_keeps_access=choices.paused_keeps, second_subscription=choices.second, silent_hours=0
    )
    keys = dict.fromkeys(choices.plans.values())
    plans = [
        catalogue.Plan(
            key=key,
            name=key.title(),
            prices=[{"id": price_id, "period": every} for price_id, (plan, _, every) in PRICES.items() if plan == key],
        )
        for key in keys
    ]
    return catalogue.Catalogue(plans=tuple(plans), policy=policy)


def wanted(event: Obj) -> bool:
    """Whether the endpoint that `signalstack stripe setup` makes is told of this."""
    return event["type"] in stripe_setup.EVENTS
