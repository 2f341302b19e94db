"""How long to wait before another try."""

from __future__ import annotations

import random
from datetime import timedelta


def pause(first: timedelta, attempt: int, longest: timedelta) -> timedelta:
    """Return how long to wait before another attempt: doubled each time, capped, with jitter.

    Args:
        first: The pause before the second attempt.
        attempt: How many have failed, from 1.
        longest: The cap.
    """
    ceiling: timedelta = min(longest, min(first, longest) * 2 ** min(max(attempt - 1, 0), 20))
    return ceiling * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
