"""The process between the stack and one server: it ends the server when the stack's process is gone, however it went.

Run by path, standard library only, so that it starts in milliseconds (`python -I -S supervise.py ... -- ARGV`). It
leads a session of its own, so that a Ctrl-C meant for the parent does not reach the server. Standard input is a pipe
that only the parent holds; each byte is an order, and its end means that the parent stops the server or is gone:

    k  kill     z  suspend     c  resume

Standard output says `pid N` once; standard error is the log, and the server's output goes there too. The exit status is
the server's (128 + signal when it was killed).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

PARENT_CHECK_S = 1.0  # a forked sibling may hold the pipe open; then the change of our parent tells
ORPHAN_GRACE_S = 3.0  # Postgres' backends end by themselves when their postmaster is gone
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="supervise")
    parser.add_argument("--stop-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--grace", type=float, default=10.0, help="seconds between the stop signal and SIGKILL")
    parser.add_argument("--user", default="", help="uid:gid that the server runs as")
    parser.add_argument("--hold", type=int, default=-1, help="a descriptor to keep open until the server has ended")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args(arguments)
    if options.hold >= 0:
        os.set_inheritable(options.hold, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for caught in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(caught, lambda *_: None)
    server = _spawn(options.argv, options.user)
    os.write(1, f"pid {server}\n".encode())
    return _watch(server, wake_read, options)


def _spawn(argv: list[str], user: str) -> int:
    shim = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        for caught in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(caught, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        if user:
            uid, gid = (int(part) for part in user.split(":"))
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        # after the change of user, which would clear it: a supervisor killed with -9 takes its server along
        _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != shim:
            os._exit(127)
        os.execv(argv[0], argv)  # noqa: S606  an argv list is the point
    except (OSError, ValueError) as error:
        os.write(2, f"cannot start {argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _watch(server: int, wake: int, options: argparse.Namespace) -> int:
    kill_at: float | None = None
    orders: int | None = 0
    while True:
        status = _reap(server)
        if status is not None:
            _collect_orphans(server)
            return status
        wait = PARENT_CHECK_S if kill_at is None else max(0.05, min(PARENT_CHECK_S, kill_at - time.monotonic()))
        ready, _, _ = select.select([fd for fd in (orders, wake) if fd is not None], [], [], wait)
        stop = orders is not None and os.getppid() != options.parent
        if wake in ready:
            stop |= bool({signal.SIGTERM, signal.SIGHUP, signal.SIGINT} & set(os.read(wake, 64)))
        if orders is not None and orders in ready:
            received = os.read(orders, 64)
            if not received:
                stop, orders = True, None
            for order in received.decode("ascii", "replace"):
                number = {"k": signal.SIGKILL, "z": signal.SIGSTOP, "c": signal.SIGCONT}.get(order)
                if number is not None:
                    _signal(server, number)
        if stop and kill_at is None:
            kill_at = time.monotonic() + options.grace
            _signal(server, options.stop_signal)
            _signal(server, signal.SIGCONT)  # a suspended server would not hear it
        if kill_at is not None and time.monotonic() >= kill_at:
            _signal(server, signal.SIGKILL)


def _reap(server: int) -> int | None:
    """Collect whoever ended; the server's exit status once it did."""
    found: int | None = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == server:
            code = os.waitstatus_to_exitcode(status)
            found = code if code >= 0 else 128 - code


def _collect_orphans(server: int) -> None:
    """A server's state folder is free only when its last child has gone: wait, then kill what is left."""
    deadline = time.monotonic() + ORPHAN_GRACE_S
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server, signal.SIGKILL)
            for child in _children():
                _signal(child, signal.SIGKILL)
        time.sleep(0.02)


def _children() -> list[int]:
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in listing.read_text(encoding="ascii").split()] if listing.exists() else []


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
