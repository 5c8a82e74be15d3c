"""The daemon's side of its Unix socket: a command asks for a turn and is told its events.

One JSON line asks (`client.py` writes it), event lines answer. Only the user can open the socket
(mode 0600); even so nothing that comes over it is believed before it is checked.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from assistant.client import LONGEST_LINE, socket_path
from assistant.errors import BadRequest, DaemonRunning, of_os
from assistant.events import Bus, Ended, Event, Failed, to_json
from assistant.ports import Speaker
from assistant.turn import Origin, Turn, whole


class Inbox(Protocol):
    """What the server needs of the daemon: to hand in a turn, and to take it back."""

    def submit(self, turn: Turn, speaker: Speaker | None) -> Any: ...
    def abandon(self, request: Any) -> Awaitable[None]: ...


@dataclass(frozen=True)
class Server:
    """`speaker_to` makes the speaker that writes into a file, or for None a silent one."""

    runtime: Path
    bus: Bus
    inbox: Inbox
    speaker_to: Callable[[Path | None], Speaker]

    async def open(self) -> asyncio.Server:
        """Raises DaemonRunning where another one answers, and NotPermitted."""
        path = socket_path(self.runtime)
        try:
            self.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
            if await _answers(path):
                raise DaemonRunning(
                    "The assistant is already running.", "Use it, or stop it first."
                )
            path.unlink(missing_ok=True)  # left by a daemon that was killed
            before = os.umask(0o177)
            try:
                return await asyncio.start_unix_server(self._serve, str(path), limit=LONGEST_LINE)
            finally:
                os.umask(before)
        except OSError as error:
            raise of_os(error, path) from error

    async def _serve(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        try:
            turn, reply, quiet = _turn_of(await _line(incoming))
            speaker = self.speaker_to(reply) if reply or quiet else None
            await self._serve_turn(turn, speaker, incoming, outgoing)
        except BadRequest as error:
            failed = Failed("", error.code, error.sentence, error.mend, 0.0)
            outgoing.write(to_json(failed).encode() + b"\n")
        except ConnectionError:
            pass  # the command was ended; its turn was ended with it
        finally:
            with suppress(ConnectionError):
                await outgoing.drain()
            outgoing.close()

    async def _serve_turn(
        self,
        turn: Turn,
        speaker: Speaker | None,
        incoming: asyncio.StreamReader,
        outgoing: asyncio.StreamWriter,
    ) -> None:
        over = asyncio.Event()

        async def forward(event: Event) -> None:
            if event.turn == turn.id:
                outgoing.write(to_json(event).encode() + b"\n")
                if isinstance(event, Ended | Failed):
                    over.set()

        unsubscribe = self.bus.subscribe(forward)
        gone = asyncio.create_task(incoming.read())
        done = asyncio.create_task(over.wait())
        try:
            request = self.inbox.submit(turn, speaker)
            await asyncio.wait({gone, done}, return_when=asyncio.FIRST_COMPLETED)
            if not over.is_set():
                await self.inbox.abandon(request)
        finally:
            unsubscribe()
            gone.cancel()
            done.cancel()


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    writer.close()
    return True


async def _line(incoming: asyncio.StreamReader) -> bytes:
    try:
        return await incoming.readline()
    except ValueError as error:
        raise BadRequest("That line is too long.") from error


def _turn_of(line: bytes) -> tuple[Turn, Path | None, bool]:
    """The turn that a command asks for, the file for its reply, and whether to be quiet.

    Raises BadRequest.
    """
    try:
        asked = json.loads(line)["ask"]
        text, audio, image = asked.get("text"), asked.get("audio"), asked.get("image")
        reply, quiet = asked.get("reply"), asked.get("quiet", False)
        paths = [Path(each) for each in (audio, image, reply) if each is not None]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadRequest("That is no request that I know.") from error
    named = all(path.is_absolute() and "\0" not in str(path) for path in paths)
    if not named or not isinstance(text, str | None):
        raise BadRequest("A request needs a text, or paths that begin with a slash.")
    if not (text or audio or image):
        raise BadRequest("A request needs a text, a sound or a picture.")
    turn = Turn(
        Origin.COMMAND,
        text=None if text is None else whole(text),
        audio=Path(audio) if audio else None,
        frames=(Path(image),) if image else (),
    )
    return turn, Path(reply) if reply else None, bool(quiet)
