"""What `signalstack stripe doctor` looks at in the operator's account: each check says one line about itself."""

import email.utils
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from core import catalogue, errors, models, sold, stack
from core.billing import partners, plans, subscriptions
from webhooks.payments import stripe_lists, stripe_objects, stripe_orders, stripe_setup, stripe_shelf, stripe_wire

_LATELY = timedelta(days=3)
_CLOCKS = timedelta(seconds=60)
_MANY = 100
_SETUP = "run: signalstack stripe setup"
Say = Callable[[str], None]


async def examine(held: stack.Stack, *, say: Say) -> int:
    """Each check has said its line; 1 when something that is needed is not there."""
    if not held.settings.stripe:
        raise errors.RefusedError("Payments by Stripe are switched off; set STRIPE_API_KEY.")
    good = True
    async with stripe_wire.connected(held.settings) as client:
        for name, check in Doctor(held, client).checks().items():
            try:
                say(f"  ok   {name}: {await check()}")
            except errors.SignalStackError as error:
                say(f"  FAIL {name}: {error}")
                good = False
    return 0 if good else 1


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks at the account that belongs to the settings' key; changes nothing."""

    held: stack.Stack
    client: Any

    @property
    def v1(self) -> Any:
        """The part of the library by which everything is asked but long lists."""
        return self.client.v1

    def checks(self) -> Mapping[str, Callable[[], Awaitable[str]]]:
        """Every check by its name, in the order in which faults are best put right; errors carry what to do."""
        return {
            "key": self._key,
            "clock": self._clock,
            "prices": self._prices,
            "portal": self._portal,
            "webhooks": self._webhooks,
            "secret": self._secret,
            "events": self._events,
            "taxes": self._taxes,
            "discounts": self._discounts,
            "members": self._members,
        }

    @property
    def _mode(self) -> str:
        """Which of Stripe's two worlds the key belongs to."""
        key = self.held.settings.stripe_api_key.get_secret_value()
        return "live" if "_live_" in key[:10] else "test"

    async def _key(self) -> str:
        await stripe_wire.answered(self.v1.prices.list_async({"limit": 1}))
        return f"Stripe accepts it; it is a {self._mode} key" + (
            ", no real money moves" if self._mode == "test" else ""
        )

    async def _clock(self) -> str:
        page = await stripe_wire.answered(self.v1.prices.list_async({"limit": 1}))
        said = page.last_response.headers.get("Date") if page is not None else None
        there = email.utils.parsedate_to_datetime(said) if said else None
        if there is None:
            return "Stripe did not say what time it is"
        apart = abs(self.held.clock() - there)
        if apart > _CLOCKS:
            seconds = round(apart.total_seconds())
            raise errors.RefusedError(f"this machine's clock is {seconds} s off Stripe's: signatures will seem too old")
        return f"within {max(1, round(apart.total_seconds()))} s of Stripe's"

    async def _prices(self) -> str:
        book, faults, good = self.held.catalogue, [], 0
        for plan in book.plans:
            unmade = sum(1 for price in plan.prices if not price.id)
            if unmade:
                faults.append(f"{plan.key} has {unmade} without an id ({_SETUP})")
            for price_id in plan.named_ids:
                found = await self._price_faults(plan, price_id)
                faults += [f"{price_id} of {plan.key} {fault}" for fault in found]
                good += not found
        return _verdict(f"{good} can be paid", faults)

    async def _price_faults(self, plan: catalogue.Plan, price_id: str) -> list[str]:
        expanded: Any = {"expand": ["currency_options"]}
        row = stripe_wire.plain(await stripe_wire.answered(self.v1.prices.retrieve_async(price_id, expanded)))
        if not row:
            return [f"is not in this account (the key is a {self._mode} key)"]
        if not row.get("active"):
            return ["is archived"]
        if bool(row.get("livemode")) != (self._mode == "live"):
            return [f"is not a {self._mode} price, but the key is a {self._mode} key"]
        there = stripe_objects.prices(row, plan.key)
        if not there:
            return ["does not cost one amount every period"]
        said = next((price for price in plan.prices if price.id == price_id and price.amount is not None), None)
        return _differences(said, there) if said else []

    async def _portal(self) -> str:
        rows = [
            row
            async for row in stripe_shelf.every(self.v1.billing_portal.configurations, {"active": True})
            if stripe_objects.is_our_portal(row)
        ]
        if not rows:
            raise errors.RefusedError(f"its configuration is missing; {_SETUP}")
        wrong = stripe_setup.portal_faults(rows[0], stripe_setup.portal_features(self.held.catalogue))
        good = "members see their invoices, change their card and cancel there"
        return _verdict(good, [f"{name} is not as it was set up; {_SETUP}" for name in wrong])

    async def _webhooks(self) -> str:
        url = stripe_setup.endpoint_url(self.held.settings)
        every = stripe_shelf.every(self.v1.webhook_endpoints, {})
        row = next(iter([row async for row in every if row["url"] == url]), None)
        if row is None:
            raise errors.RefusedError(f"no endpoint for {url}; {_SETUP}")
        told = set(row.get("enabled_events") or [])
        lacking = [] if "*" in told else sorted(set(stripe_setup.EVENTS) - told)
        faults = [f"the endpoint is switched off; {_SETUP}"] if row.get("status", "enabled") != "enabled" else []
        faults += [f"it does not tell {', '.join(lacking)}; {_SETUP}"] if lacking else []
        version = row.get("api_version")
        other = version not in {None, stripe_wire.API_VERSION}
        speaks = f", in API version {version} (ours is {stripe_wire.API_VERSION}; both are understood)" if other else ""
        return _verdict(url + speaks, faults)

    async def _secret(self) -> str:
        secrets = self.held.settings.webhook_secrets
        if not secrets:
            raise errors.RefusedError("STRIPE_WEBHOOK_SECRET is missing: without it no event is believed")
        if any(not secret.startswith("whsec_") or len(secret) < 20 for secret in secrets):
            raise errors.RefusedError("STRIPE_WEBHOOK_SECRET does not look like one; it begins with whsec_")
        return "set" if len(secrets) == 1 else f"{len(secrets)} are set, each of them counts"

    async def _events(self) -> str:
        missed = await stripe_lists.missed(self.client, self.held.clock() - _LATELY, most=_MANY)
        if not missed:
            return "every one of the last three days was delivered"
        number = f"{len(missed)}{' or more' if len(missed) >= _MANY else ''}"
        raise errors.RefusedError(
            f"{number} of the last three days did not arrive; does {self.held.settings.public_url} answer from outside?"
        )

    async def _taxes(self) -> str:
        if not self.held.catalogue.policy.tax:
            return "not worked out by Stripe (tax = true under [policy] switches it on)"
        row = stripe_wire.plain(await stripe_wire.answered(self.v1.tax.settings.retrieve_async()))
        if row.get("status") == "active":
            return "worked out by Stripe"
        pending = ((row.get("status_details") or {}).get("pending") or {}).get("missing_fields") or []
        lacks = f" ({', '.join(pending)} missing)" if pending else ""
        raise errors.RefusedError(f"the catalogue wants them, but Stripe Tax is not ready in your account{lacks}")

    async def _discounts(self) -> str:
        async with self.held.db.reading() as session:
            rows = [one.partner for one in await partners.numbers(session)]
        given = [row for row in rows if row.promotion and row.retired_at is None]
        lost = [row.code for row in given if not await self._usable(row.promotion)]
        return _verdict(f"{len(given)} of partners", [f"that of {code} cannot be used any more" for code in lost])

    async def _usable(self, said: str) -> bool:
        found = await stripe_orders.promotion(self.v1, said)
        row = (
            stripe_wire.plain(await stripe_wire.answered(self.v1.promotion_codes.retrieve_async(found)))
            if found
            else {}
        )
        return bool(row.get("active"))

    async def _members(self) -> str:
        rows = models.Subscription
        nobodys = select(func.count()).where(rows.member_id.is_(None), rows.status.in_(subscriptions.LIVE))
        async with self.held.db.reading() as session:
            number = await session.scalar(nobodys.where(rows.provider == "stripe")) or 0
        if number:
            raise errors.RefusedError(f"{number} running subscriptions belong to nobody; the alarms name them")
        return "every running subscription belongs to one"


def _differences(said: sold.Price, there: Iterable[plans.Priced]) -> list[str]:
    """Where Stripe's price is not what the catalogue says."""
    found = {price.currency.upper(): price for price in there}
    faults = []
    for currency, amount in {said.currency: said.amount, **said.currencies}.items():
        price = found.get(currency)
        if price is None:
            faults.append(f"cannot be paid in {currency}")
        elif amount is not None and price.amount != plans.smallest(amount, currency):
            faults.append(f"costs {plans.written(price.amount, currency)}, the catalogue says {amount} {currency}")
    cycles = {(price.interval, price.interval_count) for price in found.values()}
    return faults + ([] if cycles == {sold.CYCLES[said.period]} else [f"is not for a {said.period}"])


def _verdict(good: str, faults: Iterable[str]) -> str:
    """What is good; raises RefusedError with every fault otherwise."""
    if found := list(faults):
        raise errors.RefusedError("; ".join(found))
    return good
