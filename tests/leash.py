"""Keeps a server on a leash: it ends when the process that wanted it is gone, however that one ended.

Run as `python leash.py ALIVE FOLDER USER COMMAND…`, with the standard library only. ALIVE is a file that the wanting
process has locked; the system gives the lock back when that process dies, so no server outlives a test run.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    """The caller goes on at once; the leash holds FOLDER.leash for as long as it lives."""
    alive, folder, user, *command = sys.argv[1:]
    held = Path(f"{folder}.leash").open("w")  # noqa: SIM115 - closed by the end of this process
    fcntl.flock(held, fcntl.LOCK_EX)
    if os.fork():
        os._exit(0)
    os.setsid()  # Ctrl-C at the terminal is for the tests; the server ends after them
    _hold(Path(alive), Path(folder), user, command)


def _hold(alive: Path, folder: Path, user: str, command: list[str]) -> None:
    with Path(f"{folder}.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **identity(user)
        )
    Path(f"{folder}.pid.new").write_text(str(server.pid))
    Path(f"{folder}.pid.new").rename(f"{folder}.pid")  # whoever sees it sees the whole number
    threading.Thread(target=_cut, args=(alive, folder, server), daemon=True).start()
    server.wait()
    while _ending.is_set():
        threading.Event().wait()  # the other thread ends this process


def identity(user: str) -> dict[str, Any]:
    """Arguments of Popen that give up root for this user; none for the empty name."""
    if not user:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


_ending = threading.Event()


def _cut(alive: Path, folder: Path, server: "subprocess.Popen[bytes]") -> None:
    with alive.open() as file:
        fcntl.lockf(file, fcntl.LOCK_SH)  # granted when the wanting process is gone
    _ending.set()
    server.send_signal(signal.SIGINT)  # PostgreSQL's fast stop; SIGTERM would wait for every client to leave
    try:
        server.wait(3)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    shutil.rmtree(folder, ignore_errors=True)
    _leave_nothing(alive)
    os._exit(0)


def _leave_nothing(alive: Path) -> None:
    """The folder of the whole run goes too when its owner died without tidying up."""
    rest = [path for path in alive.parent.iterdir() if path.is_dir()]
    if not rest:
        shutil.rmtree(alive.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
