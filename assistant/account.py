"""One turn as one object: the fold of its events, for the terminal, `--json` and the journal."""

from __future__ import annotations

from typing import Any

from assistant.events import Asked, Ended, Event, Failed, Routed, Said, Staged, Started


class Account:
    """Takes a turn's events in order and knows what happened so far."""

    def __init__(self, turn: str) -> None:
        self.turn = turn
        self.origin, self.at = "", 0.0
        self.uses: dict[str, str] = {}
        self.asked: Asked | None = None
        self.pieces: list[str] = []
        self.route: Routed | None = None
        self.stages: list[Staged] = []
        self.ended: Ended | None = None
        self.failed: Failed | None = None

    def take(self, event: Event) -> None:
        if isinstance(event, Started):
            self.origin, self.at, self.uses = event.origin, event.at, dict(event.uses)
        elif isinstance(event, Asked):
            self.asked = event
        elif isinstance(event, Routed):
            self.route = event
        elif isinstance(event, Said):
            self.pieces.append(event.text)
        elif isinstance(event, Staged):
            self.stages.append(event)
        elif isinstance(event, Ended):
            self.ended = event
        elif isinstance(event, Failed):
            self.failed = event

    @property
    def over(self) -> bool:
        return bool(self.ended or self.failed)

    @property
    def reply(self) -> str:
        return "".join(self.pieces).strip()

    @property
    def path(self) -> str:
        """The way that the answer took: "built-in: read_text, 14 words, confidence 0.93"."""
        if not self.route:
            return ""
        parts = [self.route.tool] if self.route.tool else []
        parts += [f"{_plain(value)} {name}" for name, value in self.route.facts.items()]
        if self.route.confidence is not None:
            parts.append(f"confidence {self.route.confidence:.2f}")
        return f"{self.route.tier}: {', '.join(parts)}" if parts else self.route.tier

    def to_dict(self) -> dict[str, Any]:
        """For programs. Times are in milliseconds."""
        route, asked = self.route, self.asked
        return {
            "turn": self.turn,
            "origin": self.origin,
            "transcript": asked.text if asked else None,
            "transcript_confidence": round(asked.confidence, 3) if asked else None,
            "reply": self.reply,
            "path": self.path,
            "tier": route.tier if route else None,
            "tool": (route.tool or None) if route else None,
            "engines": self.uses,
            "facts": dict(route.facts) if route else {},
            "confidence": route.confidence if route else None,
            "stages": [
                {
                    "name": stage.name,
                    "engine": stage.engine or None,
                    "start_ms": _ms(stage.start),
                    "ms": _ms(stage.seconds),
                    "first_ms": None if stage.first is None else _ms(stage.first),
                }
                for stage in sorted(self.stages, key=lambda stage: stage.start)
            ],
            "total_ms": _ms(self.ended.seconds) if self.ended else None,
            "engines_ms": _ms(self.ended.engines) if self.ended else None,
            "overhead_ms": _ms(self.ended.overhead) if self.ended else None,
            "heard_s": round(self.ended.heard, 3) if self.ended else None,
            "interrupted": self.ended.interrupted if self.ended else False,
            "error": {
                "code": self.failed.code,
                "sentence": self.failed.sentence,
                "mend": self.failed.mend,
            }
            if self.failed
            else None,
        }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
