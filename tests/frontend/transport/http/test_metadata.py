"""Which names of itself the server answers to, and which headers a call gets to see."""

from perdure.frontend.transport.http.api import host_rule
from perdure.frontend.transport.http.metadata import metadata_of


def test_every_host_is_served_unless_some_are_named():
    assert host_rule(())("anything")


def test_hosts_by_pattern():
    allows = host_rule(["here", "*.there:80"])
    assert [allows(host) for host in ("here", "a.there:80", "there:80", "herex", "")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_headers_that_are_passed_on():
    metadata = metadata_of(
        [
            ("host", "here"),
            ("authorization", "Bearer x"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("grpc-metadata-supported-server-versions", ">1"),
            ("temporal-namespace", "kept out"),
            ("user-agent", "me"),
            ("accept", "\xff"),
        ],
        "3.3.3.3",
    )
    assert metadata == {
        "authorization": "Bearer x",
        "grpcgateway-authorization": "Bearer x",
        "grpcgateway-host": "here",
        "grpcgateway-user-agent": "me",
        "supported-server-versions": ">1",
        "x-forwarded-host": "here",
        "x-forwarded-for": "1.1.1.1, 2.2.2.2, 3.3.3.3",
        "client-name": "temporal-server-http",
        "client-version": "1.32.0",
    }


def test_a_client_may_say_who_it_is():
    metadata = metadata_of([("client-name", "me"), ("client-version", "1")], "")
    assert (metadata["client-name"], metadata["client-version"]) == ("me", "1")
