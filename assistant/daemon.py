"""The daemon: one inbox of turns, one current task.

Keys, lines, commands and due timers only make a Turn for the inbox. A turn of the wearer interrupts
what runs; a command's turn waits until the reply is being spoken, then interrupts it; a due timer
waits until nobody speaks. Interrupting is cancelling the task: it owns all that it started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.client import LONGEST_LINE, socket_path
from assistant.converse import House, converse
from assistant.errors import (
    AssistantError,
    AudioTooLong,
    BadRequest,
    DaemonRunning,
    DeviceError,
    LightDark,
    of_os,
)
from assistant.events import Ended, Event, Failed, Noticed, to_json
from assistant.listen import utterance
from assistant.ports import Light, Microphone, Shown, Speaker
from assistant.schedule import announcement
from assistant.turn import WEARER, Origin, Sound, Turn, whole

log = logging.getLogger("assistant.daemon")

RECHECK = 30.0
"""Seconds between looks at the timers, in case a clock jumped or the machine slept."""

FIRST = [Origin.TYPED, Origin.SPOKEN, Origin.COMMAND, Origin.SCHEDULE]
"""Who goes first where several may begin, and then who came first."""


@dataclass
class Request:
    """A turn in the inbox, and where its reply goes."""

    turn: Turn
    speaker: Speaker
    spoken: bool = False
    """Whether its reply began to sound."""
    gone: bool = False
    """Whether nobody waits for it any more."""


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
        self._inbox: list[Request] = []
        self._news = asyncio.Event()
        """Set when a request in the inbox may have become one that may begin."""
        self._current: asyncio.Task[None] | None = None
        self._request: Request | None = None
        self._listening: asyncio.Event | None = None
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- its life ------------------------------------------------------------------------------

    async def serve(
        self, lines: AsyncIterator[str] | None = None, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Runs until `stop`. `lines` are those typed at the terminal, if there is one; `ready` is
        called once commands find the daemon."""
        server = await self._listen_on_socket()
        try:
            ready()
            self._spawn(self._take_turns())
            self._spawn(self._ring())
            if lines is not None:
                self._spawn(self._read_terminal(lines))
            await self._stop.wait()
        finally:
            server.close()
            socket_path(self._runtime).unlink(missing_ok=True)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._interrupt()  # last: nothing can begin another turn any more

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

    def submit(self, turn: Turn, speaker: Speaker | None = None) -> Request:
        request = Request(turn, speaker or self._house.speaker)
        self._inbox.append(request)
        self._news.set()
        return request

    async def _take_turns(self) -> None:
        while True:
            request = await self._next()
            await self._interrupt()
            if request.gone:
                continue
            self._request = request
            self._current = asyncio.create_task(self._converse(request))
            self._current.add_done_callback(lambda _: self._news.set())
            await asyncio.sleep(0)  # it begins before the next can end it: none ends without a word

    async def _next(self) -> Request:
        """The first request that may begin now. One that must wait holds up no other."""
        while True:
            self._news.clear()
            for request in sorted(self._inbox, key=lambda each: FIRST.index(each.turn.origin)):
                if self._may_begin(request.turn.origin):
                    self._inbox.remove(request)
                    return request
            await self._news.wait()

    def _may_begin(self, origin: Origin) -> bool:
        running = self._current is not None and not self._current.done()
        if origin is Origin.COMMAND:
            return not running or (self._request is not None and self._request.spoken)
        if origin is Origin.SCHEDULE:
            return not running and self._listening is None
        return True

    async def _interrupt(self) -> None:
        if self._current and not self._current.done():
            self._current.cancel()
            await asyncio.wait({self._current})  # not `await`: it would swallow our own cancelling

    async def _converse(self, request: Request) -> None:
        turn = request.turn
        speaker = _Watched(
            request.speaker, lambda: self._spoken(request), lambda lost: self._unheard(turn, lost)
        )
        _show(self._light, Shown.THINKING)
        try:
            await converse(turn, self._house.but(speaker))
        except AssistantError as error:
            log.warning("turn failed", extra={"facts": {"turn": turn.id, "code": error.code}})
            self._house.bus.publish(Noticed("", str(error), error.code))
            if turn.origin is not Origin.COMMAND:
                await self._say(error.sentence, speaker)
        finally:
            _show(self._light, Shown.OFF)

    def _spoken(self, request: Request) -> None:
        if not request.spoken:
            request.spoken = True
            _show(self._light, Shown.SPEAKING)
            self._news.set()

    def _unheard(self, turn: Turn, lost: DeviceError) -> None:
        """A loudspeaker that is gone costs the sound, not the words."""
        said = f"{lost.sentence} The reply is shown only."
        self._house.bus.publish(Noticed(turn.id, said, lost.code))

    async def _say(self, sentence: str, speaker: Speaker) -> None:
        """A fault, spoken. Where even that fails, the terminal has shown it."""
        try:
            async with aclosing(self._house.synthesizer.speak(sentence)) as sounds:
                await speaker.play(sounds)
        except AssistantError as error:
            log.warning("could not speak", extra={"facts": {"code": error.code}})

    # ---- the terminal: a line is a turn, an empty one opens and closes the microphone ----------

    async def _read_terminal(self, lines: AsyncIterator[str]) -> None:
        async for line in lines:
            if text := line.strip():
                self.submit(Turn(Origin.TYPED, text=text))
            elif self._listening:
                self._listening.set()
            else:
                await self._begin_listening()

    async def _begin_listening(self) -> None:
        if self._microphone is None:
            self._notice("There is no microphone: type instead.")
            return
        self._listening = asyncio.Event()  # first: or a waiting timer would begin in the silence
        await self._interrupt()  # whoever speaks wants silence
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
            self.submit(Turn(Origin.SPOKEN, audio=sound))
        finally:
            self._listening = None
            self._news.set()

    def _notice(self, sentence: str, code: str = "") -> None:
        self._house.bus.publish(Noticed("", sentence, code))

    # ---- timers --------------------------------------------------------------------------------

    async def _ring(self) -> None:
        timers = self._house.timers
        while True:
            timers.changed.clear()
            for timer in await timers.take_due():
                text = announcement(timer, -timers.left(timer))
                self.submit(Turn(Origin.SCHEDULE, text=text, label=WEARER))  # it may have a name
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
            request = self.submit(turn, speaker)
            await asyncio.wait({gone, done}, return_when=asyncio.FIRST_COMPLETED)
            if not over.is_set():
                await self._abandon(request)
        finally:
            unsubscribe()
            gone.cancel()
            done.cancel()

    async def _abandon(self, request: Request) -> None:
        """Ends the turn of a command that is gone; one that still waits is not begun."""
        request.gone = True
        if self._request is request:
            await self._interrupt()


class _Watched:
    """The speaker, with a call before each sound, and one if it is lost: the rest of the reply is
    then made without it."""

    def __init__(
        self,
        speaker: Speaker,
        sounding: Callable[[], None],
        lost: Callable[[DeviceError], None],
    ) -> None:
        self._speaker, self._sounding, self._lost = speaker, sounding, lost
        self.name = speaker.name

    @property
    def heard(self) -> float:
        return self._speaker.heard

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        async def noted() -> AsyncGenerator[Sound]:
            async for sound in sounds:
                self._sounding()
                yield sound

        try:
            async with aclosing(noted()) as each:
                await self._speaker.play(each)
        except DeviceError as error:
            self._lost(error)
            async for _ in sounds:  # the words come with them
                pass


def _show(light: Light, shown: Shown) -> None:
    """The status is worth no turn; a recording without its light is refused elsewhere."""
    try:
        light.show(shown)
    except LightDark as error:
        log.warning("no status shown", extra={"facts": {"code": error.code}})


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
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadRequest("That is no request that I know.") from error
    named = all(path.is_absolute() and "\0" not in str(path) for path in paths)
    if not named or not isinstance(text, str | None):
        raise BadRequest("A request needs a text, or paths that begin with a slash.")
    turn = Turn(
        Origin.COMMAND,
        text=None if text is None else whole(text),
        audio=Path(audio) if audio else None,
        frames=(Path(image),) if image else (),
    )
    return turn, Path(reply) if reply else None, bool(quiet)


async def typed_lines() -> AsyncGenerator[str]:
    """Lines of standard input as they are typed, until its end.

    Read in a thread, which nobody waits for at the end: asyncio reads no files and no /dev/null,
    and would make the terminal non-blocking for our own words too.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        with suppress(OSError, RuntimeError):  # no standard input; the loop has ended before it
            with open(0, "rb", closefd=False) as typed:
                while line := typed.readline(LONGEST_LINE):
                    loop.call_soon_threadsafe(lines.put_nowait, line.decode(errors="replace"))
            loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, name="typed-lines", daemon=True).start()
    while line := await lines.get():
        yield line
