"""Answers that are given again: bytes in this process, each as of a version of what it was made from.

Whoever asks names the version that holds now, so an answer from before a change is never given after it, in whatever
process the change was made.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

_LARGEST, _ALL = 256 * 1024, 16 * 1024 * 1024  # bytes of one answer, and of all that are kept


class Answer(NamedTuple):
    """The bytes of an answer, and the strong tag that names them."""

    body: bytes
    tag: str


def answer(body: bytes) -> Answer:
    """The bytes with their tag."""
    return Answer(body, hashlib.sha256(body).hexdigest()[:32])


class Cache:
    """At most `size` answers and 16 MB of them, those that were asked for last; none with a size of nought."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, tuple[int, Answer]] = OrderedDict()
        self.bytes = self.found = self.missed = 0

    def find(self, key: Hashable, version: int) -> Answer | None:
        """The answer that was made from exactly this version."""
        made, kept = self._kept.get(key, (-1, None))
        if kept is None or made != version:
            self.missed += 1
            return None
        self._kept.move_to_end(key)
        self.found += 1
        return kept

    def keep(self, key: Hashable, version: int, made: Answer) -> None:
        """The answer is given again for as long as the version holds, which was read before what it was made from."""
        if len(made.body) > _LARGEST:
            return
        self._drop(self._kept.pop(key, None))
        self._kept[key] = (version, made)
        self.bytes += len(made.body)
        while len(self._kept) > self._size or self.bytes > _ALL:
            self._drop(self._kept.popitem(last=False)[1])

    def _drop(self, kept: tuple[int, Answer] | None) -> None:
        self.bytes -= len(kept[1].body) if kept else 0
