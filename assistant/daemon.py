"""The daemon: one inbox of turns, one current task.

Keys, lines, commands and due timers only make a Turn for the inbox. A turn of the wearer interrupts
what runs; a command's turn waits until the reply is being spoken, then interrupts it; a due timer
waits its turn. Interrupting is cancelling the task: it owns all that it started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant.client import LONGEST_LINE, socket_path
from assistant.converse import House, converse
from assistant.errors import (
    AssistantError,
    AudioTooLong,
    BadRequest,
    DaemonRunning,
    of_os,
)
from assistant.events import Ended, Event, Failed, Noticed, to_json
from assistant.listen import utterance
from assistant.ports import Light, Microphone, Shown, Speaker
from assistant.schedule import announcement
from assistant.turn import OWN_WORDS, Origin, Sound, Turn

log = logging.getLogger("assistant.daemon")

RECHECK = 30.0
"""Seconds between looks at the timers, in case a clock jumped or the machine slept."""


@dataclass
class Request:
    """A turn in the inbox, and where its reply goes."""

    turn: Turn
    speaker: Speaker
    spoken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the reply begins to sound."""


class Daemon:
    def __init__(
        self,
        house: House,
        light: Light,
        microphone: Microphone | None,
        runtime: Path,
        longest: float,
        speaker_to: Callable[[Path | None], Speaker],
    ) -> None:
        """`speaker_to` makes the speaker that writes into a file, or for None one that is silent:
        commands ask for them. Without a microphone it serves typed turns."""
        self._house, self._light, self._microphone = house, light, microphone
        self._runtime, self._longest = runtime, longest
        self._speaker_to = speaker_to
        self._inbox: asyncio.Queue[Request] = asyncio.Queue(maxsize=64)
        self._current: asyncio.Task[None] | None = None
        self._request: Request | None = None
        self._listening: asyncio.Event | None = None
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- its life ------------------------------------------------------------------------------

    async def serve(self, lines: AsyncIterator[str] | None = None) -> None:
        """Runs until `stop`. `lines` are those typed at the terminal, if there is one."""
        server = await self._listen_on_socket()
        try:
            self._spawn(self._take_turns())
            self._spawn(self._ring())
            if lines is not None:
                self._spawn(self._read_terminal(lines))
            await self._stop.wait()
        finally:
            server.close()
            socket_path(self._runtime).unlink(missing_ok=True)
            await self._interrupt()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """May be called from a signal handler."""
        self._stop.set()

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("task failed", exc_info=error)
            self.stop()  # a daemon without one of its parts must not look alive

    # ---- one inbox, one current task -----------------------------------------------------------

    async def submit(self, turn: Turn, speaker: Speaker | None = None) -> None:
        await self._inbox.put(Request(turn, speaker or self._house.speaker))

    async def _take_turns(self) -> None:
        while True:
            request = await self._inbox.get()
            await self._make_way(request.turn.origin)
            self._request = request
            self._current = asyncio.create_task(self._converse(request))

    async def _make_way(self, origin: Origin) -> None:
        current, request = self._current, self._request
        if current is None or current.done() or request is None:
            return
        if origin is Origin.COMMAND:
            spoken = asyncio.create_task(request.spoken.wait())
            await asyncio.wait({current, spoken}, return_when=asyncio.FIRST_COMPLETED)
            spoken.cancel()
        if origin is Origin.SCHEDULE:
            await asyncio.wait({current})
        await self._interrupt()

    async def _interrupt(self) -> None:
        if self._current and not self._current.done():
            self._current.cancel()
            with suppress(asyncio.CancelledError):
                await self._current

    async def _converse(self, request: Request) -> None:
        turn = request.turn
        speaker = _Watched(request.speaker, request.spoken, self._light)
        self._light.show(Shown.THINKING)
        try:
            await converse(turn, self._house.but(speaker))
        except AssistantError as error:
            log.warning("turn failed", extra={"facts": {"turn": turn.id, "code": error.code}})
            self._house.bus.publish(Noticed("", str(error), error.code))
            if turn.origin is not Origin.COMMAND:
                await self._say(error.sentence, speaker)
        finally:
            self._light.show(Shown.OFF)

    async def _say(self, sentence: str, speaker: Speaker) -> None:
        """A fault, spoken. Where even that fails, the terminal has shown it."""
        try:
            await speaker.play(self._house.synthesizer.speak(sentence))
        except AssistantError as error:
            log.warning("could not speak", extra={"facts": {"code": error.code}})

    # ---- the terminal: a line is a turn, an empty one opens and closes the microphone ----------

    async def _read_terminal(self, lines: AsyncIterator[str]) -> None:
        async for line in lines:
            if text := line.strip():
                await self.submit(Turn(Origin.TYPED, text=text))
            elif self._listening:
                self._listening.set()
            else:
                await self._begin_listening()

    async def _begin_listening(self) -> None:
        if self._microphone is None:
            self._notice("There is no microphone: type instead.")
            return
        await self._interrupt()  # whoever speaks wants silence
        self._listening = asyncio.Event()
        self._spawn(self._listen(self._microphone, self._listening))

    async def _listen(self, microphone: Microphone, end: asyncio.Event) -> None:
        try:
            sound = await utterance(microphone, self._light, end, self._longest)
        except AssistantError as error:
            self._notice(str(error), error.code)
        else:
            if not end.is_set():
                limit = AudioTooLong(f"I stopped listening after {self._longest:g} seconds.")
                self._notice(str(limit), limit.code)
            await self.submit(Turn(Origin.SPOKEN, audio=sound))
        finally:
            self._listening = None

    def _notice(self, sentence: str, code: str = "") -> None:
        self._house.bus.publish(Noticed("", sentence, code))

    # ---- timers --------------------------------------------------------------------------------

    async def _ring(self) -> None:
        timers = self._house.timers
        while True:
            timers.changed.clear()
            for timer in await timers.take_due():
                text = announcement(timer, -timers.left(timer))
                await self.submit(Turn(Origin.SCHEDULE, text=text, label=OWN_WORDS))
            left = [timers.left(timer) for timer in await timers.running()]
            wait = max(0.0, min([*left, RECHECK]))
            with suppress(TimeoutError):
                await asyncio.wait_for(timers.changed.wait(), wait)

    # ---- the socket ----------------------------------------------------------------------------

    async def _listen_on_socket(self) -> asyncio.Server:
        path = socket_path(self._runtime)
        try:
            self._runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
            if await _answers(path):
                raise DaemonRunning(
                    "The assistant is already running.", "Use it, or stop it first."
                )
            path.unlink(missing_ok=True)  # left by a daemon that was killed
            before = os.umask(0o177)
            try:
                return await asyncio.start_unix_server(
                    self._serve_client, str(path), limit=LONGEST_LINE
                )
            finally:
                os.umask(before)
        except OSError as error:
            raise of_os(error, path) from error

    async def _serve_client(
        self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter
    ) -> None:
        try:
            turn, reply, quiet = _turn_of(await incoming.readline())
            speaker = self._speaker_to(reply) if reply or quiet else None
            await self._serve_turn(turn, speaker, incoming, outgoing)
        except (BadRequest, ValueError) as error:
            fault = error if isinstance(error, BadRequest) else BadRequest("That line is too long.")
            failed = Failed("", fault.code, fault.sentence, fault.mend, 0.0)
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

        unsubscribe = self._house.bus.subscribe(forward)
        gone = asyncio.create_task(incoming.read())
        done = asyncio.create_task(over.wait())
        try:
            await self.submit(turn, speaker)
            await asyncio.wait({gone, done}, return_when=asyncio.FIRST_COMPLETED)
            if not over.is_set():
                await self._abandon(turn)
        finally:
            unsubscribe()
            gone.cancel()
            done.cancel()

    async def _abandon(self, turn: Turn) -> None:
        """Ends the turn of a command that is gone; one still in the inbox is dropped there."""
        waiting = [self._inbox.get_nowait() for _ in range(self._inbox.qsize())]
        for request in waiting:
            if request.turn.id != turn.id:
                self._inbox.put_nowait(request)
        if self._request and self._request.turn.id == turn.id:
            await self._interrupt()


class _Watched:
    """The speaker, with a sign when the reply begins to sound."""

    def __init__(self, speaker: Speaker, spoken: asyncio.Event, light: Light) -> None:
        self._speaker, self._spoken, self._light = speaker, spoken, light
        self.name = speaker.name

    @property
    def heard(self) -> float:
        return self._speaker.heard

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        async def noted() -> AsyncGenerator[Sound]:
            async for sound in sounds:
                if not self._spoken.is_set():
                    self._spoken.set()
                    self._light.show(Shown.SPEAKING)
                yield sound

        await self._speaker.play(noted())


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    writer.close()
    return True


def _turn_of(line: bytes) -> tuple[Turn, Path | None, bool]:
    """The turn that a command asks for, the file for its reply, and whether to be quiet.

    Raises BadRequest: any program of the user can write to the socket.
    """
    try:
        asked = json.loads(line)["ask"]
        text, audio, image = asked.get("text"), asked.get("audio"), asked.get("image")
        reply, quiet = asked.get("reply"), asked.get("quiet", False)
        paths = [Path(each) for each in (audio, image, reply) if each is not None]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRequest("That is no request that I know.") from error
    if not all(path.is_absolute() for path in paths) or not isinstance(text, str | None):
        raise BadRequest("A request needs a text, or paths that begin with a slash.")
    turn = Turn(
        Origin.COMMAND,
        text=text,
        audio=Path(audio) if audio else None,
        frames=(Path(image),) if image else (),
    )
    return turn, Path(reply) if reply else None, bool(quiet)


async def typed_lines() -> AsyncGenerator[str]:
    """Lines of standard input as they are typed, until its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            yield line.decode(errors="replace")
    finally:
        transport.close()
