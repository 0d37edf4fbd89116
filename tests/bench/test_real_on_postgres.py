"""The configuration of the real server on PostgreSQL."""

import yaml

from bench.real_on_postgres import config

URL = "postgresql://postgres:@/bench_7?host=/var/tmp/lab/postgres"


def test_the_configuration_names_both_databases_and_their_socket(tmp_path):
    found = yaml.safe_load(config(15_001, tmp_path, URL, ["frontend.rps=100000"]))
    stores = found["persistence"]["datastores"]
    assert stores["default"]["sql"]["databaseName"] == "bench_7"
    assert stores["visibility"]["sql"]["databaseName"] == "bench_7_visibility"
    for store in stores.values():
        assert store["sql"]["connectAttributes"] == {"host": "/var/tmp/lab/postgres"}
    assert found["services"]["frontend"]["rpc"]["grpcPort"] == 15_001
    assert (tmp_path / "dynamic.yaml").read_text() == "frontend.rps:\n  - value: 100000\n"


def test_no_port_is_given_twice_and_all_fit_in_a_smallint(tmp_path):
    found = yaml.safe_load(config(15_001, tmp_path, URL, []))
    ports = [
        port
        for service in found["services"].values()
        for name, port in service["rpc"].items()
        if name.endswith("Port")
    ]
    assert len(set(ports)) == len(ports) == 9
    assert max(ports) < 2**15
