"""A server's process imports no package that it does not use."""

import subprocess
import sys

import pytest

#: The SDK's core in Rust, gRPC's library, and what structlog would take for its tracebacks.
UNUSED = ("temporalio.service", "temporalio.bridge", "grpc", "rich")
PROGRAM = f"""
import sys
from perdure.cli.lean_imports import import_log_without_rich, import_messages_without_sdk
import_log_without_rich()
import_messages_without_sdk()
import perdure.cli.serving
print(*(name for name in {UNUSED} if sys.modules.get(name)))
"""


def printed(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_server_imports_neither_the_sdk_nor_grpc():
    assert printed(PROGRAM) == ""


def test_without_that_the_messages_bring_both():
    """The test of the test."""
    whole = PROGRAM.replace("import_messages_without_sdk()", "")
    assert printed(whole) == "temporalio.service temporalio.bridge grpc"


@pytest.mark.parametrize("name", ["grpc", "temporalio.service"])
def test_a_package_that_was_absent_can_be_imported_later(name):
    assert printed(f"{PROGRAM}\nimport {name}\nprint({name}.__name__)") == name
