"""Other doors for Stripe's events, which webhook.py measures beside ours; each verifies, stores once and answers.

`python webhook_peers.py NAME DSN PORT SECRET`: "aiohttp" runs with our Python, "fastapi" with that of .venv-bench.
Nothing of this project is used.
"""

import asyncio
import hashlib
import hmac
import json
import sys
import time
from typing import Any

TABLE = "CREATE TABLE events (id bigserial PRIMARY KEY, event_id text UNIQUE, kind text, body bytea, at timestamptz)"
INSERT = "INSERT INTO events (event_id, kind, body, at) VALUES ($1, $2, $3, now()) ON CONFLICT DO NOTHING"


async def bare(dsn: str, port: int, secret: str) -> None:
    """The least that can be done: an HMAC, one statement, one answer."""
    import asyncpg
    import orjson
    from aiohttp import web

    pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10)

    def known(header: str, raw: bytes) -> bool:
        parts = dict(part.split("=", 1) for part in header.split(","))
        signed = hmac.new(secret.encode(), parts["t"].encode() + b"." + raw, hashlib.sha256).hexdigest()
        return hmac.compare_digest(signed, parts["v1"]) and time.time() - int(parts["t"]) < 300

    async def take(request: web.Request) -> web.Response:
        raw = await request.read()
        if not known(request.headers["Stripe-Signature"], raw):
            return web.Response(status=400)
        event = orjson.loads(raw)
        async with pool.acquire() as connection:
            await connection.execute(INSERT, event["id"], event["type"], raw)
        return web.json_response({"received": True})

    app = web.Application()
    app.router.add_post("/webhooks/stripe", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def framework(dsn: str, port: int, secret: str) -> None:
    """As tutorials have it: FastAPI, the SDK's construct_event, a model of SQLAlchemy's ORM; on uvloop, httptools."""
    import datetime as dt

    import fastapi
    import stripe
    import uvicorn
    from sqlalchemy import BigInteger, DateTime, LargeBinary, Text, select
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

    class Base(DeclarativeBase):
        pass

    class Event(Base):
        __tablename__ = "events"
        id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
        event_id: Mapped[str] = mapped_column(Text, unique=True)
        kind: Mapped[str] = mapped_column(Text)
        body: Mapped[bytes] = mapped_column(LargeBinary)
        at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))

    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"), pool_size=10)
    session_of = async_sessionmaker(engine, expire_on_commit=False)
    app = fastapi.FastAPI()

    async def take(request: fastapi.Request) -> dict[str, bool]:
        payload = await request.body()
        try:
            event: Any = stripe.Webhook.construct_event(payload, request.headers["Stripe-Signature"], secret)
        except (ValueError, stripe.SignatureVerificationError) as error:
            raise fastapi.HTTPException(400) from error
        async with session_of() as session:
            if await session.scalar(select(Event).where(Event.event_id == event.id)) is None:
                now = dt.datetime.now(dt.UTC)
                session.add(Event(event_id=event.id, kind=event.type, body=payload, at=now))
                await session.commit()
        return {"received": True}

    app.add_api_route("/webhooks/stripe", take, methods=["POST"])
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False)).serve()


def main() -> None:
    """The named peer answers until it is ended."""
    name, dsn, port, secret = sys.argv[1:]
    asyncio.run({"aiohttp": bare, "fastapi": framework}[name](dsn, int(port), secret))


def event(number: int) -> bytes:
    """A signed provider's event as large as they usually are."""
    price = {"id": "price_1P", "object": "price", "currency": "usd", "unit_amount": 2900, "recurring": {"count": 1}}
    items = [{"id": f"si_{i}", "object": "subscription_item", "price": price, "metadata": {}} for i in range(4)]
    data = {"id": f"sub_{number}", "object": "subscription", "items": {"object": "list", "data": items}}
    data |= {"customer": "cus_1", "status": "active", "metadata": {"member": "17", "plan": "signals"}}
    data |= {f"field_{i}": {"enabled": False, "value": None, "liability": {"type": "self"}} for i in range(16)}
    told = {"id": f"evt_{number}", "object": "event", "type": "customer.subscription.updated", "data": {"object": data}}
    return json.dumps(told | {"api_version": "2026-06-24", "livemode": True, "created": 1}).encode()


if __name__ == "__main__":
    main()
