"""Ids with any sign in them are reached by every path of the HTTP API.

The real server decodes a path before it splits it, so what has a slash in its id cannot be reached there.
"""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from perdure.frontend.transport.http.routes import RouteTable, routes
from tests.frontend.transport.http.client import Client
from tests.frontend.transport.http.table import TYPED, WORKFLOWS
from tests.perdure_server import PerdureServer

IDS = (
    *("/", "//", "a/b", "/a", "a/", "a//b", "a/../b", "a/./b", "a/history", "workflows/x"),
    *(f"a{chr(code)}b" for code in range(0x20, 0x7F)),
    *("%", "%2F", "%252f", "..", ".", "a+b c", "ä/ö", "日本/語", "😀", "a\tb", "a\nb", "a\u2028b"),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client of a server of its own: others count what is there."""
    server = PerdureServer(tmp_path_factory.mktemp("ids"), None)
    server.start()
    client = Client(server.http_port)
    yield client
    client.close()
    server.stop()


def escaped(name: str) -> str:
    found = quote(name, safe="")
    # A client would take away a segment of dots.
    return found.replace(".", "%2E") if set(name) == {"."} else found


@pytest.mark.parametrize(
    "route", list(routes()), ids=lambda route: f"{route.verb} {route.template}"
)
def test_every_path_has_ids_with_every_sign(route):
    table = RouteTable()
    for name in IDS:
        fields = {field: f"{name}{number}" for number, field in enumerate(route.fields)}
        path = route.template
        for field, value in fields.items():
            path = path.replace(f"{{{field}}}", escaped(value))
        found = table.find(route.verb, path)
        assert found is not None, path
        assert found[1] == fields
        assert found[0].template == route.template


@pytest.mark.parametrize("name", IDS)
def test_a_workflow_of_any_id(client: Client, name: str):
    path = f"{WORKFLOWS}/{escaped(name)}"
    started = client.post(path, TYPED)
    assert started.status == 200, started.body
    run_id = started.json["runId"]
    described = client.get(path).json["workflowExecutionInfo"]["execution"]
    assert described == {"workflowId": name, "runId": run_id}
    assert client.post(f"{path}/signal/{escaped(name)}", {}).status == 200
    events = client.get(f"{path}/history").json["history"]["events"]
    signal = events[-1]["workflowExecutionSignaledEventAttributes"]
    assert signal["signalName"] == name
    assert client.post(f"{path}/terminate", {}).status == 200
    listed = client.get(f"{WORKFLOWS}?query={quote(f'RunId = {run_id!r}')}").json["executions"]
    assert [each["execution"]["workflowId"] for each in listed] == [name]


def test_what_is_no_id_is_split_as_ever(client: Client):
    assert client.get("/system-info%2F").status == 404
    assert client.get("/namespaces%2Fdefault").status == 404
    assert client.get(f"{WORKFLOWS}/a/b").status == 404
