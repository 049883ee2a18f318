"""The picture of a signal: drawn once, uploaded once, and known to the platform by its own name afterwards."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core import clock, db, models, stack
from core.market import candles
from core.signals import charts

_KEPT = 16
_SHOWN = 120  # candles
_PATIENCE = 2.0  # seconds that the others wait for the first upload before they upload themselves


@dataclass(frozen=True, slots=True)
class Picture:
    """PNG bytes, or the platform's name for what it already has; `key` names the picture in our table."""

    key: str
    data: bytes | None = None
    file_id: str | None = None


class Pictures:
    """Pictures for one platform."""

    def __init__(self, held: stack.Stack, platform: str) -> None:
        self._stack, self._platform = held, platform
        self._known: OrderedDict[str, str] = OrderedDict()
        self._drawn: OrderedDict[str, asyncio.Task[bytes]] = OrderedDict()
        self._uploading: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def of(self, signal: models.Signal) -> AsyncIterator[Picture]:
        """The picture for one message; while the first message of a signal uploads it, the others wait a moment."""
        key = f"signal:{signal.id}"
        if not await self._uploaded(key) and key in self._uploading:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._uploading[key].wait()
            except TimeoutError:
                pass
        if await self._uploaded(key):
            yield Picture(key, file_id=self._known[key])
            return
        done = self._uploading.setdefault(key, asyncio.Event())
        try:
            yield Picture(key, data=await self._draw(key, signal))
        finally:
            done.set()
            self._uploading.pop(key, None)

    async def keep(self, key: str, file_id: str) -> None:
        """The platform knows this picture under `file_id`."""
        if self._known.get(key) == file_id:
            return
        self._remember(key, file_id)
        async with self._stack.db.transaction() as session:
            row = db.insert(session, models.Upload).values(platform=self._platform, picture=key, file_id=file_id)
            await session.execute(
                row.on_conflict_do_update(index_elements=["platform", "picture"], set_={"file_id": file_id})
            )

    async def _uploaded(self, key: str) -> bool:
        if key not in self._known and key not in self._drawn:
            async with self._stack.db.reading() as session:
                row = await session.get(models.Upload, (self._platform, key))
            if row is not None:
                self._remember(key, row.file_id)
        return key in self._known

    def _remember(self, key: str, file_id: str) -> None:
        self._known[key] = file_id
        while len(self._known) > 10 * _KEPT:
            self._known.popitem(last=False)

    async def _draw(self, key: str, signal: models.Signal) -> bytes:
        if key not in self._drawn:
            self._drawn[key] = asyncio.create_task(self._drawing(signal))
            while len(self._drawn) > _KEPT:
                self._drawn.popitem(last=False)
        return await asyncio.shield(self._drawn[key])

    async def _drawing(self, signal: models.Signal) -> bytes:
        market = candles.Key(signal.exchange, signal.symbol, signal.timeframe)
        async with self._stack.db.reading() as session:
            rows = await candles.recent(session, market, _SHOWN, until=signal.candle)
        chart = charts.Chart(
            symbol=signal.symbol,
            timeframe=signal.timeframe,
            direction=signal.direction,
            entry=signal.entry,
            target=signal.target,
            stop=signal.stop,
            opened_at=clock.from_ms(signal.candle),
            note=self._stack.catalogue.service.notice,
        )
        return await asyncio.to_thread(charts.draw, candles.series(rows), chart)
