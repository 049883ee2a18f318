"""Group commit: what many tasks want written at the same moment is written in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batch(Generic[T, R]):
    """Calls `write` with everything that was asked since the last call ended; one call at a time.

    `write` returns one result for each item, in their order. When it raises, each of the askers gets the error.
    """

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._write = write
        self._asked: list[tuple[T, asyncio.Future[R]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """The result for this item, once it is written."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._asked.append((item, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                try:
                    results = await self._write([item for item, _ in asked])
                except Exception as error:  # noqa: BLE001 - it belongs to the askers
                    self._fail(asked, error)
                    continue
                for (_, future), result in zip(asked, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        finally:
            self._writer = None

    @staticmethod
    def _fail(asked: Sequence[tuple[T, "asyncio.Future[R]"]], error: Exception) -> None:
        for _, future in asked:
            if not future.done():
                future.set_exception(error)
