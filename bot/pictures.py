"""Pictures of messages: drawn once, uploaded once, and known to the platform by its own name afterwards."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from decimal import Decimal

import structlog

from bot import messages, painting
from core import clock, db, models, stack
from core.delivery import claims
from core.market import series
from core.signals import charts

_KEPT = 16
_PATIENCE = 2.0  # seconds that the others wait for the first upload before they upload themselves
Paint = Callable[[], Awaitable[bytes | None]]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Picture:
    """PNG bytes, or the platform's name for what it already has, or neither where nothing could be drawn.

    `key` names the picture in our table.
    """

    key: str
    data: bytes | None = None
    file_id: str | None = None


def about(parcel: claims.Parcel) -> int:
    """The number of the signal that the delivery tells of or shows, 0 for none."""
    said = str(((parcel.payload or {}).get("message") or {}).get("about") or "")
    what, _, number = said.partition(":")
    return parcel.signal_id or (int(number) if what == "signal" else 0)


class Pictures:
    """Pictures for one platform; `shared`: it has a name for what was uploaded once, so that once is enough."""

    def __init__(self, held: stack.Stack, platform: str, *, shared: bool = True) -> None:
        self._stack, self._platform, self._shared = held, platform, shared
        self._known: OrderedDict[str, str] = OrderedDict()
        self._drawn: OrderedDict[str, asyncio.Task[bytes | None]] = OrderedDict()
        self._uploading: dict[str, asyncio.Event] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def warm_up(self) -> None:
        """The drawing library and its font are loaded, so that the first signal waits no longer than the others."""
        rows = [(hour * 3_600_000, 2.0, 3.0, 1.0, 2.0, 1.0) for hour in range(4)]
        one, two, three = Decimal(1), Decimal(2), Decimal(3)
        nothing = charts.Chart("BTC/USDT", "1h", "long", two, three, one, clock.from_ms(3 * 3_600_000))
        await asyncio.to_thread(charts.draw, series.Series.from_rows(rows), nothing)

    def to(
        self, message: messages.Message, signal: models.Signal | None, kind: str
    ) -> AbstractAsyncContextManager[Picture]:
        """The picture of the signal or the backtest that this message, of a delivery of this kind, is about."""
        what, _, number = message.about.partition(":")
        if what == "backtest":
            return self._once(message.about, lambda: painting.backtest(self._stack, int(number)))
        if signal is None:
            return nullcontext(Picture(""))
        return self.of(signal, ended=kind != "opening" and signal.status != models.SignalStatus.OPEN)

    @asynccontextmanager
    async def _once(self, key: str, paint: Paint) -> AsyncIterator[Picture]:
        """A picture that nobody else will get, so that no name for it is kept."""
        yield Picture("", data=await self._draw(key, paint))

    @asynccontextmanager
    async def of(self, signal: models.Signal, *, ended: bool = False) -> AsyncIterator[Picture]:
        """The picture for one message; while the first message of a signal uploads it, the others wait a moment.

        It shows the signal as it was published, or how it `ended`.
        """
        key = f"signal:{signal.id}:end" if ended else f"signal:{signal.id}"
        show = painting.ending if ended else painting.opening

        async def paint() -> bytes:
            return await show(self._stack, signal)

        if not self._shared:
            yield Picture("", data=await self._draw(key, paint))
            return
        if not await self._uploaded(key):
            await self._turn(key)
        # From here to the entry in `_uploading` nothing is awaited, so that of many who come at once one uploads.
        if key in self._known:
            yield Picture(key, file_id=self._known[key])
            return
        done = self._uploading.setdefault(key, asyncio.Event())
        try:
            data = await self._draw(key, paint)
            yield Picture(key if data else "", data=data)
        finally:
            done.set()
            if self._uploading.get(key) is done:
                del self._uploading[key]

    async def _turn(self, key: str) -> None:
        """Returns when the picture is known, when nobody is uploading it, or when patience has run out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while key not in self._known and (upload := self._uploading.get(key)):
                    await upload.wait()

    async def keep(self, key: str, file_id: str) -> None:
        """The platform knows this picture under `file_id`."""
        if self._known.get(key) == file_id:
            return
        self._remember(key, file_id)
        try:
            async with self._stack.db.transaction() as session:
                row = db.insert(session, models.Upload).values(platform=self._platform, picture=key, file_id=file_id)
                await session.execute(
                    row.on_conflict_do_update(index_elements=["platform", "picture"], set_={"file_id": file_id})
                )
        except Exception as error:
            if not db.is_unavailable(error):
                raise
            # The message lies in the chat; forgetting this costs one more upload after a restart, and nothing else.
            log.warning("picture_upload_not_kept", picture=key, error=type(error).__name__)

    async def _uploaded(self, key: str) -> bool:
        if key not in self._known and key not in self._drawn:
            # A fan-out asks for every message of a whole window at once; the first message must not queue behind that.
            if key not in self._looking:
                self._looking[key] = asyncio.create_task(self._look(key))
            await asyncio.shield(self._looking[key])
        return key in self._known

    async def _look(self, key: str) -> None:
        try:
            async with self._stack.db.reading() as session:
                row = await session.get(models.Upload, (self._platform, key))
            if row is not None:
                self._remember(key, row.file_id)
        finally:
            del self._looking[key]

    def _remember(self, key: str, file_id: str) -> None:
        self._known[key] = file_id
        while len(self._known) > 10 * _KEPT:
            self._known.popitem(last=False)

    async def _draw(self, key: str, paint: Paint) -> bytes | None:
        if key not in self._drawn:
            self._drawn[key] = asyncio.create_task(self._drawing(key, paint))
            while len(self._drawn) > _KEPT:
                self._drawn.popitem(last=False)
        drawing = self._drawn[key]
        try:
            return await asyncio.shield(drawing)
        except Exception:
            if self._drawn.get(key) is drawing:
                del self._drawn[key]  # the database was away; the next message tries again
            raise

    async def _drawing(self, key: str, paint: Paint) -> bytes | None:
        try:
            return await paint()
        except Exception as error:
            if db.is_unavailable(error):
                raise
            # The words are what matters: they are sent without it.
            log.warning("picture_not_drawn", picture=key, error=f"{type(error).__name__}: {error}")
            return None
