"""Makes `.venv` hold exactly what a lock file says, on a machine that has little more than Python.

Called by the Makefile, before anything is installed: standard library only, and no module of this project. Debian's
python3 comes without ensurepip (and so without `python3 -m venv`) unless python3-venv is installed; pip is then fetched
from the package index, checked against the hash below, and everything else against the hashes of the lock file.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path

PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
ROOT = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path, help="the lock file to install from")
    lock = parser.parse_args().lock
    if sys.version_info < (3, 11):  # noqa: UP036 -- nothing has checked it before this runs.
        return _fail(f"Python 3.11 or newer is needed; {sys.executable} is older")
    environment = ROOT / ".venv"
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, symlinks=True, clear=True)
    try:
        if not _has_pip(python):
            _install_pip(python)
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", ROOT], check=True)
    except subprocess.CalledProcessError:
        return _fail("the packages could not be installed: see the lines above")
    except (OSError, ValueError) as error:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        return _fail(
            f"this Python has no pip, and it cannot be fetched ({error}): install {package}"
        )
    return 0


def _has_pip(python: Path) -> bool:
    return (
        subprocess.run(
            [python, "-m", "pip", "--version"], check=False, capture_output=True
        ).returncode
        == 0
    )


def _install_pip(python: Path) -> None:
    """Put pip into the environment: from Python itself, else from the index. Raises `OSError` or `ValueError`."""
    if importlib.util.find_spec("ensurepip") is not None:
        subprocess.run(
            [python, "-m", "ensurepip", "--default-pip"], check=False, capture_output=True
        )
        if _has_pip(python):
            return
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / PIP_WHEEL
        wheel.write_bytes(_fetch_pip())
        # A wheel of pip runs where it lies: it installs itself.
        subprocess.run(
            [python, wheel / "pip", "install", "--quiet", "--no-index", wheel], check=True
        )


def _fetch_pip() -> bytes:
    """Return the pinned wheel from the package index. Raises `OSError` or `ValueError`."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    asked = urllib.request.Request(
        f"{index}/pip/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        files = json.load(answer)["files"]
        base = answer.url
    address = next((f["url"] for f in files if f["filename"] == PIP_WHEEL), None)
    if address is None:
        raise ValueError(f"{index} has no {PIP_WHEEL}")
    with urllib.request.urlopen(urllib.parse.urljoin(base, address), timeout=60) as answer:
        wheel: bytes = answer.read()
    if hashlib.sha256(wheel).hexdigest() != PIP_SHA256:
        raise ValueError(f"{PIP_WHEEL} is not the file it should be")
    return wheel


def _fail(why: str) -> int:
    print(f"Error: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
