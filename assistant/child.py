"""An engine in a child process: what can crash, hang or swallow the machine's memory lives there.

Parent and child speak over one socket pair, in pickles. The child is not trusted to be sane: a
model file may have taken it over. So the parent unpickles only data (numpy arrays and the classes
of turn, ports and errors) and nothing that can run.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any

from assistant.errors import AssistantError, EngineDied, EngineFailed, EngineHung, EngineMissing

_SAFE_MODULES = {"assistant.turn", "assistant.ports", "assistant.errors"}
"""Only the classes written there: what these modules import could run code."""
_SAFE_NAMES = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("pathlib", "PosixPath"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
}
LOADING = 300.0
"""Seconds that an engine may at least take to load: a slow card reads 1 GB in 50 s."""
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the kernel sends to a process when its parent ends."""


class Child:
    """A Worker (flow.py) whose engine runs in a process of its own, started at the first use.

    `engine` names a class as "module:Class"; `arguments` are its keyword arguments. A child that
    dies raises EngineDied, one that is silent for `deadline` seconds is killed and raises
    EngineHung; the next load, which may take LOADING, starts a new one.
    """

    ends_at_once = True

    def __init__(
        self, engine: str, arguments: Mapping[str, Any] | None = None, *, deadline: float = 60.0
    ) -> None:
        self.name = engine.split(":")[0].rsplit(".", 1)[-1]
        self.seconds = 0.0
        self._engine, self._arguments = engine, dict(arguments or {})
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def load(self) -> None:
        if self._closed:
            raise EngineDied(f"The engine {self.name} was ended.")
        if self._process and self._process.poll() is None:
            return
        self._end()
        start = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: a folder named `models` in the working directory must not be imported.
            self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [sys.executable, "-P", "-m", "assistant.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("ASSISTANT_CHILD_STDERR") else subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the parent, which ends its children
            )
        self._pipe = Connection(ours.detach())
        try:
            loading = ("load", self._engine, self._arguments, os.getpid())
            self._ask(*loading, deadline=max(LOADING, self._deadline))
        except BaseException:
            self._end()
            raise
        self.seconds = time.monotonic() - start  # starting the process is part of its price

    def call(self, method: str, *arguments: Any) -> Any:
        return self._ask("call", method, arguments)

    def stream(self, method: str, *arguments: Any) -> Iterator[Any]:
        self._ask("open", method, arguments)
        open_ = True
        try:
            while open_:
                open_, item = self._ask("next")
                if open_:
                    yield item
        except AssistantError:
            open_ = False  # the child has closed it, or is gone
            raise
        finally:
            if open_:
                self._ask("shut")

    def close(self) -> None:
        """Ends the child at once, whatever it is doing. May be called from any thread."""
        self._closed = True
        self._end()

    def _ask(self, *request: Any, deadline: float | None = None) -> Any:
        pipe, patience = self._pipe, deadline or self._deadline
        if pipe is None:
            raise EngineDied(f"The engine {self.name} is not running.")
        try:
            pipe.send_bytes(pickle.dumps(request, protocol=5))
            if not pipe.poll(patience):
                self._end()
                raise EngineHung(
                    f"The engine {self.name} did not answer for {patience:g} seconds.",
                    "It is started again at the next request.",
                )
            answer = pipe.recv_bytes()
        except (EOFError, OSError) as error:
            self._end()
            raise EngineDied(
                f"The engine {self.name} stopped in the middle of its work.",
                "It is started again at the next request.",
            ) from error
        try:
            fault, value, self.seconds = _unpickled(answer)
        except Exception as error:  # unpickling nonsense raises anything
            self._end()
            raise EngineFailed(
                f"The engine {self.name} gave an answer of no known form."
            ) from error
        if fault is not None:
            raise fault
        return value

    def _end(self) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        if pipe:
            pipe.close()


def _unpickled(answer: bytes) -> tuple[AssistantError | None, Any, float]:
    fault, value, seconds = _Unpickler(io.BytesIO(answer)).load()
    if not isinstance(fault, AssistantError | None):
        raise TypeError("no error of ours")
    return fault, value, float(seconds)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _SAFE_NAMES:
            return super().find_class(module, name)
        if module in _SAFE_MODULES and name.isidentifier():
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not data")


# ---- the child's side --------------------------------------------------------------------------


def serve(pipe: Connection) -> None:
    """Answers one request after another until the parent is gone."""
    engine: Any = None
    items: Iterator[Any] | None = None

    def load(name: str, arguments: Mapping[str, Any], parent: int) -> None:
        nonlocal engine
        _die_with(parent)
        importlib.import_module("numpy")  # requests hold arrays: not the first one shall wait
        engine = _make(name, arguments)

    def open_(method: str, arguments: tuple[Any, ...]) -> None:
        nonlocal items
        items = getattr(engine, method)(*arguments)

    def next_() -> tuple[bool, Any]:
        assert items is not None
        for item in items:
            return True, item
        return False, None

    def shut() -> None:
        assert items is not None
        items.close()  # type: ignore[attr-defined]

    work: dict[str, Callable[..., Any]] = {
        "load": load,
        "call": lambda method, arguments: getattr(engine, method)(*arguments),
        "open": open_,
        "next": next_,
        "shut": shut,
    }
    while True:
        try:
            kind, *arguments = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own parent
        except EOFError:
            return
        pipe.send_bytes(pickle.dumps(_answer(engine, work[kind], arguments), protocol=5))


def _answer(
    engine: Any, work: Callable[..., Any], arguments: list[Any]
) -> tuple[AssistantError | None, Any, float]:
    """What went wrong, or None; the result; the seconds it took."""
    start = time.monotonic()
    fault: AssistantError | None = None
    value = None
    try:
        value = work(*arguments)
    except AssistantError as error:
        fault = error
    except Exception as error:  # no text of it: it may hold what was said
        name = getattr(engine, "name", "that was asked")
        fault = EngineFailed(f"The engine {name} failed: {type(error).__name__}.")
    return fault, value, time.monotonic() - start


def _make(name: str, arguments: Mapping[str, Any]) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)(**arguments)
    except ImportError as error:
        raise EngineMissing(
            f"The engine {module} cannot be loaded: {error.name or 'a library'} is missing.",
            "Run scripts/demo again: it installs what is missing.",
        ) from error


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        sys.exit()


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
