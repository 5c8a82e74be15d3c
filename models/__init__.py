"""Engines: each file wraps one model library. Never imports hardware, nor what decides."""
