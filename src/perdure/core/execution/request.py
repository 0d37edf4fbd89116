"""The ways to ask an execution: a `Request` may move it, a `View` only reads it.

Both are values: frozen dataclasses with slots, made of numbers, strings, bytes, enums, protobuf messages, tuples of
these, and other such dataclasses. They hold no callable, so that they can be sent to the node that owns the execution.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from perdure.core.execution.environment import Environment

#: The type of the reply.
R_co = TypeVar("R_co", covariant=True)


class Request(Generic[R_co]):
    """The parent class of every request; the archetype's concepts say how each is answered."""

    __slots__ = ()


class View(Generic[R_co]):
    """The parent class of everything that can be read of one execution."""

    __slots__ = ()

    @abstractmethod
    def look(self, execution: Any, *, now_ns: int, environment: Environment) -> R_co:
        """Return what is asked for. The owner of the execution gives it and the rest; nothing of them may change."""


@dataclass(frozen=True, slots=True)
class Delete(Request[None]):
    """Forget the execution: every archetype knows this request. Asking twice is asking once."""
