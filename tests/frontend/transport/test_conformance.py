"""`h2spec`: 145 cases of RFC 9113 and RFC 7541 against a real port, plain and over TLS."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.frontend.transport.clients.ways import Way, serving_process
from tests.workers.programs import Program

pytestmark = pytest.mark.slow

H2SPEC = Program("go", "h2spec", Path(__file__).parent / "clients")
CASES = 145
#: Case → why it does not apply to us; `docs/transport.md` has the same.
NOT_FOR_US: Mapping[str, str] = {}
#: One case sends headers that are longer than a frame may be: five times this, where we take 256 KiB.
_HEADER_BYTES = 60_000
_PATIENCE_S = 600


@pytest.mark.parametrize("way", [Way.PLAIN, Way.TLS])
def test_every_case_passes(way, tmp_path, certificates):
    report = tmp_path / "report.xml"
    with serving_process(way, certificates) as port:
        command = [H2SPEC.built(), "-h", "127.0.0.1", "-p", str(port), "-j", str(report)]
        command += ["--max-header-length", str(_HEADER_BYTES), "--timeout", "10"]
        command += ["--tls", "--insecure"] if way is Way.TLS else []
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    results = list(_results(report))
    assert len(results) == CASES, done.stdout + done.stderr
    failed = {case: words for case, words in results if words and case not in NOT_FOR_US}
    assert failed == {}, done.stdout
    assert {case for case, words in results if words} == set(NOT_FOR_US), "some pass by now"


def _results(report):
    """Yield each case as (name, what is wrong with it)."""
    for case in ElementTree.parse(report).iter("testcase"):
        words = " ".join((child.text or child.tag).replace("\n", "; ") for child in case)
        yield f"{case.get('package')}: {case.get('classname')}", words
