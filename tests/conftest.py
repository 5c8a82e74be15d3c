"""The world is off in tests: no network, no settings and no folders but the test's own.

A test that is a coroutine runs in virtual time (world.py); whoever needs threads, processes or real
time writes a plain test and calls asyncio.run.
"""

from __future__ import annotations

import inspect
import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.world import in_virtual_time

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def world_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("ASSISTANT_")]:
        monkeypatch.delenv(name)
    for kind in ("DATA", "STATE", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    # Engines' processes run with -P, so they would not find the packages of this folder.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def guarded(connect: Any) -> Any:
        def only_here(this: socket.socket, address: Any) -> Any:
            if this.family != socket.AF_UNIX and not ipaddress.ip_address(address[0]).is_loopback:
                raise AssertionError(f"a test reached for the network: {address}")
            return connect(this, address)

        return only_here

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        names = pyfuncitem._fixtureinfo.argnames
        in_virtual_time(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
        return True
    return None
