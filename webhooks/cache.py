"""Answers that are given again: bytes in this process, each as of a version of what it was made from.

Whoever asks names the version that holds now, so an answer from before a change is never given after it, in whatever
process the change was made.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

_LARGEST = 256 * 1024


class Answer(NamedTuple):
    """The bytes of an answer, and the strong tag that names them."""

    body: bytes
    tag: str


def answer(body: bytes) -> Answer:
    """The bytes with their tag."""
    return Answer(body, hashlib.sha256(body).hexdigest()[:32])


class Cache:
    """At most `size` answers, those that were asked for last; none with a size of nought."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, tuple[int, Answer]] = OrderedDict()
        self.found = self.missed = 0

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
        self._kept[key] = (version, made)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
