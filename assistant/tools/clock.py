"""The time and the date."""

from __future__ import annotations

from assistant.tools import Hands, Receipt, tool


@tool()
async def tell_time(hands: Hands) -> Receipt:
    """Say the time of day."""
    now = hands.clock.now()
    hour = now.hour % 12 or 12
    return Receipt(f"It is {hour}:{now:%M} {'AM' if now.hour < 12 else 'PM'}.")


@tool()
async def tell_date(hands: Hands) -> Receipt:
    """Say the day and the date."""
    now = hands.clock.now()
    return Receipt(f"It is {now:%A}, {now:%B} {now.day}, {now.year}.")
