"""Pure rules: no I/O, no clock, no randomness, no logging. See `docs/architecture.md`."""

from perdure.core import enum_values

enum_values.bind()
