"""``python`` without its start: what it is to run is forked from this process, in which every library is loaded.

For programs that start Python by themselves (make, self_train.py, a launcher of processes). They are given
:attr:`WarmPython.executable`, which asks a server, forked from this process, to run the program with its arguments,
folder, environment and open files, and ends as it ends.
"""

from __future__ import annotations

import array
import json
import logging
import multiprocessing.forkserver
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from hydra.core.global_hydra import GlobalHydra

from modules.processes.launcher import PARENT
from tests.helpers.commands import run

ASK = """#!{python} -SE
import array, json, os, signal, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
files = array.array("i", [0, 1, 2])
link.sendmsg([len(request).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
link.sendall(request)
process = int.from_bytes(link.recv(4), "big")
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda number, _: os.kill(process, number))
status = int.from_bytes(link.recv(4), "big", signed=True)
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""
"""The program that stands for Python."""


class WarmPython:
    """A context manager; the server ends with it.

    Attributes:
        executable: runs ``PROGRAM ARGUMENTS``, a program of this repository, and nothing else.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="warm"))  # short: a socket's path is
        self.executable = self._folder / "python"
        self._server = 0

    def __enter__(self) -> WarmPython:
        address = str(self._folder / "socket")
        self.executable.write_text(ASK.format(python=sys.executable, address=address))
        self.executable.chmod(0o755)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen()
        self._server = os.fork()
        if self._server == 0:
            _serve(listener, str(self.executable))
        listener.close()
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._server, signal.SIGKILL)
        os.waitpid(self._server, 0)
        shutil.rmtree(self._folder)


def _serve(listener: socket.socket, executable: str) -> NoReturn:
    """Answer each request in a process of its own."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those
    sys.executable = executable
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            try:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(link)
            except BrokenPipeError:
                pass  # who asked is gone
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)  # or this process would go on with the tests, as a second worker
        link.close()


def _answer(link: socket.socket) -> NoReturn:
    """Run what is asked for, send its number when it starts and its status when it ends."""
    files = array.array("i")
    size, more, _, _ = link.recvmsg(4, socket.CMSG_SPACE(3 * files.itemsize))
    for _, _, numbers in more:
        files.frombytes(numbers)
    with link.makefile("rb") as stream:
        request = json.loads(stream.read(int.from_bytes(size, "big")))
    process = os.fork()
    if process == 0:
        link.close()
        _be(*request, files)
    link.sendall(process.to_bytes(4, "big"))
    ended = os.pidfd_open(process)
    if ended not in select.select([ended, link], [], [])[0]:  # who asked was killed, and with it goes what it asked for
        os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    link.sendall(status.to_bytes(4, "big", signed=True))
    os._exit(0)


def _be(arguments: list[str], folder: str, environment: dict[str, str], files: Any) -> NoReturn:
    """Become a fresh program."""
    status = 1
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        os.environ.pop(PARENT, None)  # which a process watches: here it has another parent
        _forget_fork_server()
        GlobalHydra.instance().clear()  # that of the program from which the server was forked
        logging.getLogger().handlers.clear()
        sys.modules["__main__"] = ModuleType("__main__")
        status = run(*arguments)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _forget_fork_server() -> None:
    """That of a pool of the process from which this one was forked: Python would wait for it as for its own child."""
    server: Any = getattr(multiprocessing.forkserver, "_forkserver")  # noqa: B009  # as no type stub knows it
    server._forkserver_address = server._forkserver_alive_fd = server._forkserver_pid = None
