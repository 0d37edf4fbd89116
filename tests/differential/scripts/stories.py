"""The stories of `tests/stories`: what they expect must come of them on both servers, and both must tell the same."""

from tests.stories import corpus

assert corpus  # Importing it registers them.
