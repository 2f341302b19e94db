"""Workflows to read and to run, each with its tests in `tests/examples`."""
