"""Group commit: who asks at the same moment is written together."""

import asyncio
from collections.abc import Sequence

import pytest

from bot import batch


class Ledger:
    """Writes that take a moment, and what was written together."""

    def __init__(self) -> None:
        self.written: list[list[int]] = []
        self.open = asyncio.Event()
        self.broken = False

    async def write(self, items: Sequence[int]) -> list[int]:
        self.written.append(list(items))
        await self.open.wait()
        if self.broken:
            raise OSError("away")
        return [item * 10 for item in items]


async def test_what_is_asked_during_a_write_is_written_together_afterwards() -> None:
    ledger = Ledger()
    write = batch.Batch(ledger.write)
    first = asyncio.create_task(write(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(write(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    ledger.open.set()

    assert await asyncio.gather(first, *others) == [10, 20, 30, 40]
    assert ledger.written == [[1], [2, 3, 4]]


async def test_an_error_goes_to_those_who_asked_and_the_next_write_is_a_new_one() -> None:
    ledger = Ledger()
    ledger.open.set()
    ledger.broken = True
    write = batch.Batch(ledger.write)

    found = await asyncio.gather(write(1), write(2), return_exceptions=True)
    assert [type(error) for error in found] == [OSError, OSError]

    ledger.broken = False
    assert await write(3) == 30
    assert ledger.written == [[1, 2], [3]]


@pytest.mark.parametrize("broken", [False, True])
async def test_somebody_who_gave_up_does_not_disturb_the_others(broken: bool) -> None:
    ledger = Ledger()
    ledger.broken = broken
    write = batch.Batch(ledger.write)
    impatient, patient = asyncio.create_task(write(1)), asyncio.create_task(write(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    ledger.open.set()

    [found] = await asyncio.gather(patient, return_exceptions=True)

    assert impatient.cancelled()
    assert isinstance(found, OSError) if broken else found == 20
