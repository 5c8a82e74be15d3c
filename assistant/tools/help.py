"""What the assistant can do, in its own words."""

from __future__ import annotations

from assistant.tools import Hands, Receipt, tool


@tool()
async def what_can_you_do(hands: Hands) -> Receipt:
    """Say what the assistant can do."""
    return Receipt(
        "I can tell the time and the date, set, list and cancel timers, and read the text in a "
        "picture. Ask, for example: what does this sign say?"
    )
