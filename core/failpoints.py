"""Failpoints: named places at which a proof lets the process die, as if the machine had lost its power.

`SIGNALSTACK_FAILPOINT=inbox.claimed:3` kills the process when it reaches that place for the third time. Without the
variable, reaching a place is one comparison with None.
"""

import os
import signal

NAMES = (
    "tray.stored",
    "inbox.claimed",
    "provider.asked",
    "access.before",
    "subscription.applied",
    "access.reconciled",
    "event.uncommitted",
    "event.committed",
    "errand.claimed",
    "errand.called",
    "errand.done",
)
"""The places between an event's arrival and what follows from it, in their order."""


class Fuse:
    """Burns down a little with each time its place is reached."""

    def __init__(self, setting: str) -> None:
        self.name, _, times = setting.partition(":")
        self.left = int(times) if times.isdigit() else 1

    def reach(self, name: str) -> None:
        """The process is gone when this was its place for the last time."""
        if name != self.name:
            return
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


_fuse = Fuse(setting) if (setting := os.environ.get("SIGNALSTACK_FAILPOINT", "")) else None


def reach(name: str) -> None:
    """Nothing happened, unless a proof has put its failpoint here."""
    if _fuse is not None:
        _fuse.reach(name)
