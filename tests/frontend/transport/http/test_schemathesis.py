"""schemathesis against the document that is served: no request makes the server fail, or hang.

Allowed are 501, what is not there, and 504, because every call has a deadline. `make fuzz` makes more of each kind.
"""

import functools
import os
import re
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from perdure.frontend.transport.http.routes import routes
from tests.frontend.transport.http.client import Client
from tests.frontend.transport.http.table import TYPED, WORKFLOWS
from tests.perdure_server import PerdureServer

EXAMPLES = int(os.environ.get("PERDURE_HTTP_EXAMPLES", "3"))
DEADLINE_S = 1
HANGS_AFTER_S = 30
FUZZED = "fuzzed"
ALLOWED = (501, 504)

_OPERATIONS = sorted(
    f"{route.verb} {route.template}" for route in routes() if route.template.startswith("/api/v1/")
)
#: Field of the path → a value that a call can find.
_THERE = {
    "namespace": "default",
    **dict.fromkeys(
        ("workflow_id", "execution__workflow_id", "workflow_execution__workflow_id"), FUZZED
    ),
}


@pytest.fixture(scope="session")
def operations(perdure: PerdureServer) -> dict[str, Any]:
    client = Client(perdure.http_port)
    assert client.post(f"{WORKFLOWS}/{FUZZED}", TYPED).status == 200
    document = client.get("/openapi.yaml").json
    client.close()
    schema = schemathesis.openapi.from_dict(_without_dots(document))
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{each.method.upper()} {each.path}": each for each in found}


def _without_dots(document: Any) -> Any:
    """schemathesis cannot fill in fields of paths that have dots in their names; other names are as good."""
    paths = {}
    for path, verbs in document["paths"].items():
        for operation in verbs.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    parameter["name"] = parameter["name"].replace(".", "__")
        paths[_name(path)] = verbs
    return {**document, "paths": paths}


def _name(path: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda found: found.group().replace(".", "__"), path)


@pytest.mark.slow
@pytest.mark.parametrize("name", _OPERATIONS)
def test_no_request_makes_it_fail(
    perdure: PerdureServer, operations: dict[str, Any], name: str
) -> None:
    operation = operations[_name(name)]
    there = {key: value for key, value in _THERE.items() if f"{{{key}}}" in operation.path}
    strategies = [
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE, path_parameters=there),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    ]
    with requests.Session() as session:
        for strategy in strategies:
            _fuzz(
                strategy, functools.partial(_call, f"http://127.0.0.1:{perdure.http_port}", session)
            )
    assert "bug:" not in perdure.log()


def _fuzz(strategy: Any, call: Any) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def fuzz(case: Any) -> None:
        call(case)

    try:
        fuzz()
    except Unsatisfiable:
        pass  # An operation without parameters cannot be asked for anything that is wrong.


def _call(url: str, session: requests.Session, case: Any) -> None:
    headers = {"Grpc-Timeout": f"{DEADLINE_S}S"}
    try:
        answer = case.call(base_url=url, session=session, headers=headers, timeout=HANGS_AFTER_S)
    except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL):
        return  # It cannot be sent.
    assert answer.status_code < 500 or answer.status_code in ALLOWED, (
        f"{answer.status_code} {answer.text[:500]}\n{case.as_curl_command()}"
    )
