"""Structured logs: one JSON object a line on standard error, with facts and no words.

What was said, heard or read never reaches a log: events are logged by their numbers and codes
alone, field by field from a list of what is harmless.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from assistant.events import Event

HARMLESS = (
    *("turn", "origin", "name", "engine", "start", "seconds", "first", "confidence", "tier"),
    *("tool", "engines", "overhead", "heard", "interrupted", "code"),
)
"""Fields of events that hold no words of the wearer or of the world."""


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created)),
            "level": record.levelname.lower(),
            "from": record.name,
            "what": _what(record),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0]:
            # Where, not what: an exception's text may hold words.
            trace = record.exc_info[2]
            facts["error"] = record.exc_info[0].__name__
            while trace:
                facts["where"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
                trace = trace.tb_next
        return json.dumps(facts, default=str)


def _what(record: logging.LogRecord) -> str:
    """Our own messages; of a library's only the place, for its text may hold words."""
    if record.name.split(".")[0] == "assistant":
        return record.getMessage()
    return f"a library's message, {record.pathname}:{record.lineno}"


def begin(level: str) -> None:
    """Sends the assistant's logs to standard error; libraries speak only of errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(handlers=[handler], level=logging.ERROR, force=True)
    logging.getLogger("assistant").setLevel(level.upper())


async def read(event: Event) -> None:
    """A reader of the bus."""
    facts = {
        name: value for name in HARMLESS if (value := getattr(event, name, None)) not in (None, "")
    }
    what = type(event).__name__.lower()
    logging.getLogger("assistant").info(what, extra={"facts": facts})
