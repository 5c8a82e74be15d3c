"""Benchmarks: each module measures ours beside the bare engine, in one run."""
