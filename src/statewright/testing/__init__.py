"""Test kit."""

from .clock import ManualClock
from .linearizability import Operation, Violation, check_linearizable

__all__ = ["ManualClock", "Operation", "Violation", "check_linearizable"]
