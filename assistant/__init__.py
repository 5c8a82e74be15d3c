"""An assistant to wear: the part that decides. Start reading in converse.py."""
