"""Pure: no I/O, no wall clock of its own, no event loop."""
