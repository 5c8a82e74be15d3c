"""The commands' side of the daemon's socket: one JSON line asks, event lines answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.errors import DaemonGone, of_code, of_os
from assistant.events import Ended, Failed, Reader, from_json

LONGEST_LINE = 1 << 20
"""Bytes of one request or event."""


def socket_path(runtime: Path) -> Path:
    return runtime / "assistant.sock"


async def connect(runtime: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """A connection to the daemon; None where none runs. Raises NotPermitted."""
    path = socket_path(runtime)
    try:
        if path.exists():
            return await asyncio.open_unix_connection(str(path), limit=LONGEST_LINE)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        pass
    except OSError as error:
        raise of_os(error, path) from error
    return None


async def ask(runtime: Path, request: Mapping[str, Any], reader: Reader) -> bool:
    """Has the daemon serve a turn; each of its events goes to `reader`. False: no daemon runs.

    Raises the turn's error, and DaemonGone if the daemon ends before the turn. Cancelling ends
    the turn in the daemon too: it notices that the connection is gone.
    """
    connection = await connect(runtime)
    if connection is None:
        return False
    incoming, outgoing = connection
    try:
        outgoing.write(json.dumps({"ask": request}).encode() + b"\n")
        await outgoing.drain()
        while line := await incoming.readline():
            event = from_json(line)
            await reader(event)
            if isinstance(event, Failed):
                raise of_code(event.code)(event.sentence, event.mend)
            if isinstance(event, Ended):
                return True
    except (ConnectionError, ValueError, TypeError) as error:
        raise DaemonGone("The assistant's daemon stopped answering.", "Start it again.") from error
    finally:
        outgoing.close()
    raise DaemonGone("The assistant's daemon ended before it had answered.", "Start it again.")
