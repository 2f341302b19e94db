"""Pure: no I/O, no event loop of its own, and no clock but the one that a router is given, the host's by default."""
