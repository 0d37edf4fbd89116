"""Tasks go back to where they came from if the answer that brings them does not reach anybody."""

from collections.abc import Callable

#: To be called if the answer of a call is lost, each once. A call that starts a task adds to it before it can be lost.
GiveBacks = list[Callable[[], object]]
