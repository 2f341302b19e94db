"""The driver, psycopg 3: an optional dependency."""

from __future__ import annotations


def require_psycopg() -> None:
    """Check that psycopg is installed.

    Raises:
        ImportError: It is not; says how to install it.
    """
    try:
        import psycopg  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport] - late: the core does without it
    except ImportError as exc:
        raise ImportError('PostgresStore needs psycopg 3: pip install "statewright[postgres]"') from exc
