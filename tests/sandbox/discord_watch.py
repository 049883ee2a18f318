"""Waiting for something new in a chat."""

import asyncio


class Watched:
    """Versions of chats by a key, and those who wait for the next one."""

    def __init__(self) -> None:
        self._versions: dict[int, int] = {}
        self._watchers: dict[int, list[asyncio.Future[int]]] = {}

    async def watch(self, key: int, after: int = 0) -> int:
        """The version of a channel, or of what a user sees in private chat and as ephemeral answers, once it is above
        `after`: every message, edit and deletion adds one."""
        if self._versions.get(key, 0) > after:
            return self._versions[key]
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = self._watchers.setdefault(key, [])
        waiting.append(future)
        try:
            return await future
        finally:
            if future in waiting:
                waiting.remove(future)

    def version(self, key: int) -> int:
        """The version as it is now, 0 before the first change."""
        return self._versions.get(key, 0)

    def changed(self, key: int) -> None:
        """Whoever watches the channel or the user knows that something is new."""
        self._versions[key] = self._versions.get(key, 0) + 1
        for future in self._watchers.pop(key, []):
            if not future.done():
                future.set_result(self._versions[key])
