"""Devices: each file wraps one. Never imports models, nor what decides."""
