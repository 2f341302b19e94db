"""Benchmarks: Statewright beside its floors and its peers. `python -m benchmarks` runs them."""
