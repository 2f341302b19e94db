"""The type parameters of the public classes, declared once."""

from __future__ import annotations

from typing import Any, Never

from typing_extensions import TypeVar

from ..errors import DomainError

StateT = TypeVar("StateT", covariant=True)
CommandT = TypeVar("CommandT", covariant=True)
EventT = TypeVar("EventT", covariant=True, default=Never)
ErrorT = TypeVar("ErrorT", bound=DomainError, covariant=True, default=Never)
"""The four parameters of a workflow: what it may be, be told, say and refuse."""

WorkflowT = TypeVar("WorkflowT", covariant=True, default=Any)
"""The user's own workflow class."""
EmittedT = TypeVar("EmittedT", covariant=True, default=Any)
"""The events of a result."""
DepsT = TypeVar("DepsT", default=Any)
"""The dependencies of a router."""

ContextEventT = TypeVar("ContextEventT", contravariant=True, default=Any)
"""What a context lets its handler emit."""
ContextDepsT = TypeVar("ContextDepsT", covariant=True, default=Any)
"""The dependencies that a context gives its handler."""
