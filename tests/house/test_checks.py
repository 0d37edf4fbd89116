"""The checks of `make check`, so that `make test` cannot pass without them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT

BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--check", "--no-cache", "."],
        ["mypy"],
        ["lint-imports", "--no-logo", "--no-cache"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_check(command):
    name, *arguments = command
    done = subprocess.run(
        [BIN / name, *arguments], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
