"""A tiny process between a worker and its child: when the worker is gone, however it went, the whole group dies.

Standard library only and run by path (`python -I -S shim.py FD ARGV...`), so that it starts in milliseconds. It leads
its own session; FD is a pipe whose other end only the worker holds. The pipe's end of file kills the process group: the
child, and every tool that the child started.
"""

import os
import select
import signal
import sys


def main(pipe: int, argv: list[str]) -> int:
    os.set_inheritable(pipe, False)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Orders to stop reach the child through its own pipe; a Ctrl-C in the terminal is for the worker.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.execv(argv[0], argv)  # noqa: S606  an argv list is the point
        finally:
            os._exit(127)
    os.close(0)
    os.close(1)
    while True:
        ready, _, _ = select.select([pipe, wake_read], [], [])
        if pipe in ready and not os.read(pipe, 64):
            os.killpg(os.getpgid(0), signal.SIGKILL)
        if wake_read in ready:
            os.read(wake_read, 512)
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
