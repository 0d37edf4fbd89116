"""Makes packages look absent that others would import and a server does not use: they cost memory in every server.

It belongs into the `perdure` process alone. A program that imports perdure, or the SDK beside it, gets every package
whole.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType


def import_log_without_rich() -> None:
    """Make `rich` look absent to structlog, which would import it for tracebacks that this program does not print.

    Where another package has installed `rich`, that import costs 6 MB and a quarter of a second at every start.
    """
    if "structlog" in sys.modules:
        return
    with _absent("rich"):
        import structlog  # noqa: F401


def import_messages_without_sdk() -> None:
    """Import the API's messages from `temporalio` without the SDK around them, and without gRPC's library.

    The package's `__init__` imports the SDK's core, a library in Rust, and the modules of a service's messages import
    `grpc` if it is there: 16 MB of a server's 66. From now on `temporalio` is a package with submodules and nothing
    else, in this process.
    """
    if "temporalio" in sys.modules:
        return
    spec = find_spec("temporalio")
    assert spec is not None
    package = ModuleType(spec.name)
    package.__spec__ = spec
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[spec.name] = package
    with _absent("grpc"):
        import temporalio.api.operatorservice.v1
        import temporalio.api.workflowservice.v1  # noqa: F401


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Let an import of this package fail for a while, unless it was imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
