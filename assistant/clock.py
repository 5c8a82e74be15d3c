"""Time as the assistant knows it. Tests give it another clock; nothing else reads one."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Local wall time, with its zone."""
        ...

    def boot(self) -> float:
        """Seconds since the machine started, counted through suspend."""
        ...

    def boot_id(self) -> str:
        """Names this start of the machine: `boot()` values compare only under the same name."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now().astimezone()

    def boot(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
