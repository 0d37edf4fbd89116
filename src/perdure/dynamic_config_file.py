"""Reads a file of dynamic configuration in the real server's format, and reads it again after a change.

    limit.blobSize.error:
      - value: 4194304
        constraints: {namespace: orders}
      - value: 1048576

A file that cannot be read when the server starts stops it. Later it is reported once, and the values of before stay.
Nothing here knows which keys there are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.dynamic_config import Constrained, Values, constrained

if TYPE_CHECKING:
    import yaml


class BadFile(Exception):
    """The file is not there, or is not dynamic configuration. The text is one line."""


class DynamicConfigFile:
    """One file. It may be read on another thread; by one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: The state of the file when it was last read, or why it could not be read.
        self._seen: object = None

    def read_if_changed(self) -> Values | None:
        """Return what the file sets; None if it is as it was last time. Raises `BadFile`, once for each state of it."""
        try:
            stat = self._path.stat()
            seen: object = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError as error:
            seen = error.strerror
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            return values(self._path.read_bytes())
        except OSError as error:
            raise BadFile(f"{self._path}: {error.strerror}") from error
        except ValueError as error:
            raise BadFile(f"{self._path}: {error}") from error


def values(contents: bytes) -> Values:
    """Return what a file says. Raises `ValueError`."""
    import yaml

    try:
        table = yaml.load(contents, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(f"not a YAML file: {' '.join(str(error).split())}") from error
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ValueError("expected keys and their values")
    read: dict[str, list[Constrained]] = {}
    for key, wanted in table.items():
        if not isinstance(key, str):
            raise ValueError(f"{key}: expected a key")
        try:
            read[key.lower()] = constrained(wanted if wanted is not None else [])
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    return read


def _loader() -> type[yaml.CSafeLoader] | type[yaml.SafeLoader]:
    """Temporal: a file is YAML 1.2, where `on` and `12:30` are texts and 1e3 is a number."""
    import yaml

    parent: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("Loader", (parent,), {"yaml_implicit_resolvers": {}})
    number = r"[-+]?(\d[\d_]*(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][\d_]*)", "-+0123456789"),
        ("float", rf"{number}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
        ("null", r"~|null|Null|NULL|", "~nN"),
        ("merge", r"<<", "<"),
    ):
        chars: list[Any] = [*first, ""] if tag == "null" else list(first)
        loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), chars
        )
    return loader  # type: ignore[no-any-return]
