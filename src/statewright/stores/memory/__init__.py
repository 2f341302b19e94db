"""Workflows in memory: for tests and prototypes, and the smallest correct example for authors of stores."""

from .store import MemoryStore

__all__ = ["MemoryStore"]
