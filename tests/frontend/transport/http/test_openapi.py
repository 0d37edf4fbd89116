"""The document that is served says what there is, and is one that tools can read."""

from typing import Any

import pytest

from perdure.frontend.transport.http.routes import routes
from tests.frontend.transport.http.client import Client


def _parts(value: Any, name: str) -> list[Any]:
    if isinstance(value, dict):
        found = [value[name]] if name in value else []
        return found + [part for each in value.values() for part in _parts(each, name)]
    if isinstance(value, list):
        return [part for each in value for part in _parts(each, name)]
    return []


@pytest.mark.parametrize("path", ["/swagger.json", "/openapi.yaml"])
def test_all_routes_are_there_and_all_references_lead_somewhere(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 200
    document = answer.json
    described = {
        (verb.upper(), path) for path, verbs in document["paths"].items() for verb in verbs
    }
    assert described == {(route.verb, route.template) for route in routes()}
    for reference in _parts(document, "$ref"):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    operations = _parts(document["paths"], "operationId")
    assert len(operations) == len(set(operations)) == len(described)
