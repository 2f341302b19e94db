"""A store in PostgreSQL, for many processes."""

from .store import PostgresStore

__all__ = ["PostgresStore"]
