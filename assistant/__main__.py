"""The command line: parses, then calls."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from assistant.errors import AssistantError, Defect, Usage, defect

EPILOG = """examples:
  assistant ask --text "what time is it"
  assistant ask --audio question.wav --image sign.jpg --reply reply.wav
  assistant run
Every error has a code and an exit status of its own: see assistant/errors.py."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; gives its exit status."""
    _open_streams()
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        options = parser().parse_args(arguments)
        return int(options.run(options) or 0)
    except AssistantError as error:
        return _told(error, as_json)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone; what was asked for is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the last net: a person gets a sentence, not a traceback
        return _told(defect(error), as_json)


class _Parser(argparse.ArgumentParser):
    """Its complaints are errors like all others."""

    def error(self, message: str) -> NoReturn:
        raise Usage(f"{message[:1].upper()}{message[1:]}.", f"See {self.prog} --help.")


def parser() -> argparse.ArgumentParser:
    whole = _Parser(
        "assistant",
        description="An assistant to wear: hears, sees, thinks and speaks on this device.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    ask = commands.add_parser(
        "ask",
        help="one question, from a recording, a picture or typed",
        description="Answers one question: through the daemon if it runs, else alone. Shows the "
        "words as they come, then where the time went.",
    )
    ask.add_argument("--audio", type=Path, metavar="FILE", help="the question, spoken: any format")
    ask.add_argument("--text", help="the question, typed")
    ask.add_argument("--image", type=Path, metavar="FILE", help="what the camera sees")
    ask.add_argument("--reply", type=Path, metavar="WAV", help="write the spoken reply here")
    ask.add_argument("--quiet", action="store_true", help="show the reply, do not play it")
    ask.add_argument("--json", action="store_true", help="print one object, for programs")
    ask.set_defaults(run=_ask)

    run = commands.add_parser(
        "run",
        help="the daemon: listens to keys, lines, commands and timers until Ctrl-C",
        description="Type a line to ask. An empty line (just Enter) opens the microphone, another "
        "one closes it. Ctrl-C stops.",
    )
    run.set_defaults(run=_run)

    config = commands.add_parser("config", help="every setting: its value, origin and meaning")
    config.add_argument("--json", action="store_true", help="print one object, for programs")
    config.set_defaults(run=_config)

    doctor = commands.add_parser("doctor", help="what works here, and how to mend what does not")
    doctor.add_argument("--json", action="store_true", help="print one object, for programs")
    doctor.set_defaults(run=_doctor)

    journal = commands.add_parser("journal", help="the latest turns")
    journal.add_argument("-n", type=int, default=10, metavar="COUNT", help="how many (10)")
    journal.add_argument("--json", action="store_true", help="print a list, for programs")
    journal.set_defaults(run=_journal)
    return whole


def _ask(options: argparse.Namespace) -> int:
    from assistant import ask, config

    if not (options.audio or options.text or options.image):
        raise Usage("What is the question?", "Give --audio, --text or --image.")
    if options.audio and options.text:
        raise Usage("A question is either spoken or typed.", "Give --audio or --text, not both.")
    effective = config.load()
    _begin_log(effective.config.log.level)
    asyncio.run(ask.ask(effective.config, ask.Question.of(options), as_json=options.json))
    return 0


def _run(options: argparse.Namespace) -> int:
    from assistant import config, run

    effective = config.load()
    _begin_log(effective.config.log.level)
    asyncio.run(run.run(effective.config))
    return 0


def _config(options: argparse.Namespace) -> int:
    from assistant import config

    rows = list(config.load().rows())
    if options.json:
        print(
            json.dumps(
                {
                    name: {"value": value, "from": origin, "help": text}
                    for name, value, origin, text in rows
                },
                default=str,
                indent=2,
            )
        )
        return 0
    print(f"# settings file: {config.config_file()}")
    for name, value, origin, text in rows:
        print(f"{name} = {json.dumps(value, default=str)}   # from {origin}\n    {text}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from assistant import config, doctor

    return doctor.report(config.load().config, as_json=options.json)


def _journal(options: argparse.Namespace) -> int:
    from assistant import config, journal

    rows = journal.latest(config.load().config.folders.state / "assistant.db", options.n)
    print(json.dumps(rows, indent=2) if options.json else "\n".join(map(journal.line, rows)))
    return 0


def _open_streams() -> None:
    """A stream that is closed goes nowhere; a sign that the terminal lacks is written as a code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the end
        getattr(sys, name).reconfigure(errors="backslashreplace")


def _begin_log(level: str) -> None:
    from assistant import log

    log.begin(level)


def _told(error: AssistantError, as_json: bool) -> int:
    if as_json and not error.shown:
        fault = {"code": error.code, "sentence": error.sentence, "mend": error.mend}
        print(json.dumps({"error": fault}))
    print(f"error[{error.code}]: {error}", file=sys.stderr)
    if isinstance(error, Defect):
        cause = error.__cause__ or error
        logging.getLogger("assistant").debug(
            "defect", exc_info=(type(cause), cause, cause.__traceback__)
        )
    return error.status


if __name__ == "__main__":
    sys.exit(main())
