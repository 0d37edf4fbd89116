"""Makes the environments of transitions, one for each namespace: its limits, the names of others, fresh ids."""

import random
from collections.abc import Callable

from perdure.core.execution.environment import Environment
from perdure.runtime.clock import Clock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.namespaces import Namespaces

#: The bits of a UUID that are the same in all: version 7, and the variant.
_FIXED = 0x7 << 76 | 0x2 << 62
_RANDOM = ~(0xF << 76 | 0x3 << 62)


class FreshIds:
    """Draws ids and random numbers; a given `randomness` draws the same ones again."""

    def __init__(self, clock: Clock, randomness: random.Random) -> None:
        self._clock = clock
        self._random = randomness

    def fresh_id(self) -> str:
        """Return a UUID that is larger than those before: rows of runs that are busy now lie side by side."""
        milliseconds = self._clock.now_ns() // 1_000_000
        number = (milliseconds << 80 | self._random.getrandbits(80)) & _RANDOM | _FIXED
        digits = f"{number:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def nonce(self) -> int:
        """Return a number that names one start of a task; never 0."""
        return self._random.getrandbits(62) + 1

    def chance(self) -> float:
        """Return a number from 0 up to 1, drawn at random."""
        return self._random.random()


class Environments:
    """The environments of all namespaces, each made once after a change of the configuration."""

    def __init__(
        self,
        namespaces: Namespaces,
        limits: ConfiguredLimits,
        fresh_id: Callable[[], str],
        nonce: Callable[[], int],
    ) -> None:
        self._namespaces = namespaces
        self._limits = limits
        self._fresh_id = fresh_id
        self._nonce = nonce
        self._known: dict[str, Environment] = {}

    def forget(self) -> None:
        """The configuration has changed: make them again."""
        self._known = {}

    def of(self, namespace_id: str) -> Environment:
        """Return the environment of the namespace with this id, also if nobody here knows the namespace yet."""
        environment = self._known.get(namespace_id)
        if environment is None:
            namespaces = self._namespaces
            name = namespaces.name_of(namespace_id)
            environment = Environment(
                self._limits.of(name),
                self._fresh_id,
                namespaces.search_attribute_types,
                namespaces.retention_ns,
                namespaces.id_of,
                namespaces.is_current_attribute,
                self._nonce,
            )
            # It has a name once somebody here knows the namespace.
            if name:
                self._known[namespace_id] = environment
        return environment
