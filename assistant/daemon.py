"""The daemon: one inbox of turns, one current task.

Keys, lines, commands and due timers only make a Turn for the inbox. A turn of the wearer interrupts
what runs; a command's turn waits until the reply is being spoken, then interrupts it; a due timer
waits until nobody speaks. Interrupting is cancelling the task: it owns all that it started.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.client import LONGEST_LINE, socket_path
from assistant.converse import House, converse
from assistant.errors import AssistantError, AudioTooLong
from assistant.events import Noticed
from assistant.listen import utterance
from assistant.ports import Light, Microphone, Speaker
from assistant.schedule import Timer, announcement
from assistant.server import Server
from assistant.turn import WEARER, Origin, Sound, Turn

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
    timer: Timer | None = None
    """The timer that is due, for a turn of the schedule."""
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
        self._inbox: list[Request] = []
        self._news = asyncio.Event()
        """Set when a request in the inbox may have become one that may begin."""
        self._current: asyncio.Task[None] | None = None
        self._request: Request | None = None
        self._listening: asyncio.Event | None = None
        self._server = Server(runtime, house.bus, self, speaker_to)
        self._stop = asyncio.Event()
        self._fault: BaseException | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- its life ------------------------------------------------------------------------------

    async def serve(
        self, lines: AsyncIterator[str] | None = None, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Runs until `stop`. `lines` are those typed at the terminal, if there is one; `ready` is
        called once commands find the daemon."""
        server = await self._server.open()
        try:
            ready()
            self._spawn(self._take_turns())
            self._spawn(self._ring())
            if lines is not None:
                self._spawn(self._read_terminal(lines))
            await self._stop.wait()
        finally:
            server.close()
            socket_path(self._runtime).unlink(missing_ok=True)  # nobody finds us any more
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._interrupt()  # last: nothing can begin another turn any more
        if self._fault:
            raise self._fault

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
            self._fault = error
            self.stop()  # a daemon without one of its parts must not look alive

    # ---- one inbox, one current task -----------------------------------------------------------

    def submit(
        self, turn: Turn, speaker: Speaker | None = None, timer: Timer | None = None
    ) -> Request:
        request = Request(turn, speaker or self._house.speaker, timer=timer)
        self._inbox.append(request)
        self._news.set()
        return request

    async def abandon(self, request: Request) -> None:
        """Ends the turn of a command that is gone; one that still waits is not begun."""
        request.gone = True
        if self._request is request:
            await self._interrupt()

    async def _take_turns(self) -> None:
        while True:
            request = await self._next()
            await self._interrupt()
            if request.gone or not await self._claimed(request):
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
        speaker = _Watched(request.speaker, lambda: self._spoken(request))
        try:
            await converse(turn, self._house.but(speaker))
        except AssistantError as error:
            log.warning("turn failed", extra={"facts": {"turn": turn.id, "code": error.code}})
            self._house.bus.publish(Noticed("", str(error), error.code))
            if turn.origin is not Origin.COMMAND:
                await self._say(error.sentence, speaker)

    def _spoken(self, request: Request) -> None:
        if not request.spoken:
            request.spoken = True
            self._news.set()

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
            if sound.seconds >= self._longest:
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
            running = await timers.running()
            for timer in running:
                if timers.left(timer) <= 0 and timer.id not in self._waiting():
                    # The wearer's label: a timer's name is the wearer's words.
                    self.submit(Turn(Origin.SCHEDULE, label=WEARER), timer=timer)
            left = [timers.left(each) for each in running if each.id not in self._waiting()]
            wait = max(0.0, min([*left, RECHECK]))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await timers.changed.wait()

    def _waiting(self) -> set[int]:
        return {request.timer.id for request in self._inbox if request.timer}

    async def _claimed(self, request: Request) -> bool:
        """Marks a due timer as rung, now that it is its turn; False: it was cancelled meanwhile."""
        if request.timer is None:
            return True
        late = -self._house.timers.left(request.timer)
        timer = await self._house.timers.take(request.timer.id)
        if timer:
            request.turn = request.turn.but(text=announcement(timer, late))
        return timer is not None


class _Watched:
    """The speaker, with a call before each sound."""

    def __init__(self, speaker: Speaker, sounding: Callable[[], None]) -> None:
        self._speaker, self._sounding = speaker, sounding
        self.name = speaker.name

    @property
    def heard(self) -> float:
        return self._speaker.heard

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        async def noted() -> AsyncGenerator[Sound]:
            async for sound in sounds:
                self._sounding()
                yield sound

        async with aclosing(noted()) as each:
            await self._speaker.play(each)


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
