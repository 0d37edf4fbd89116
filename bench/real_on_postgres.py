"""The real server on PostgreSQL: its tables, and its configuration with all four services in one process.

It gets the same cluster as perdure, through the same Unix socket. With the defaults of its Helm chart its services may
open 120 connections together, more than PostgreSQL takes; here they may open 44.
"""

import random
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

SHARDS_COUNT = 4
#: The connections of each of its four services, to the store and to the lists.
CONNECTIONS_COUNT, VISIBILITY_CONNECTIONS_COUNT = 8, 3
#: It keeps its ports in a `smallint`.
_PORTS = range(15_000, 32_000)
_PLUGIN = "postgres12_pgx"

_CONFIG = """\
log: {{stdout: true, level: error}}
persistence:
  numHistoryShards: {shards}
  defaultStore: default
  visibilityStore: visibility
  datastores:
    default:
      sql: {{{sql}, databaseName: {store}, maxConns: {connections}, maxIdleConns: {connections}}}
    visibility:
      sql: {{{sql}, databaseName: {visibility}, maxConns: {visibility_connections},
             maxIdleConns: {visibility_connections}}}
global:
  membership: {{maxJoinDuration: 30s, broadcastAddress: 127.0.0.1}}
  pprof: {{port: 0}}
services:
  frontend:
    rpc: {{grpcPort: {port}, membershipPort: {free[0]}, httpPort: {free[1]}, bindOnLocalHost: true}}
  matching: {{rpc: {{grpcPort: {free[2]}, membershipPort: {free[3]}, bindOnLocalHost: true}}}}
  history: {{rpc: {{grpcPort: {free[4]}, membershipPort: {free[5]}, bindOnLocalHost: true}}}}
  worker: {{rpc: {{grpcPort: {free[6]}, membershipPort: {free[7]}, bindOnLocalHost: true}}}}
clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation:
    active:
      {{enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: "127.0.0.1:{port}"}}
dcRedirectionPolicy: {{policy: noop}}
archival: {{history: {{state: disabled}}, visibility: {{state: disabled}}}}
publicClient: {{hostPort: "127.0.0.1:{port}"}}
dynamicConfigClient: {{filepath: {dynamic}, pollInterval: 60s}}
"""


class RealServer(NamedTuple):
    """The real server with all its services in one process, and the tool that makes its tables."""

    program: Path
    sql_tool: Path
    #: It holds the folders `temporal` and `visibility`.
    schema: Path


def free_port() -> int:
    """Return a port that the real server can keep."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def make_tables(real: RealServer, url: str) -> None:
    """Create both databases that a server with this URL uses, with their tables."""
    socket_folder, name = _parts(url)
    for database, part in ((name, "temporal"), (_visibility(name), "visibility")):
        tool = [
            str(real.sql_tool), "--plugin", _PLUGIN, "--ep", "localhost", "-p", "5432", "-u", "postgres",
            "--pw", "x", "--db", database, "--ca", f"host={socket_folder}",
        ]  # fmt: skip
        for command in (
            ["create-database"],
            ["setup-schema", "-v", "0.0"],
            ["update-schema", "-d", str(real.schema / part / "versioned")],
        ):
            subprocess.run([*tool, *command], check=True, capture_output=True)


def config(port: int, folder: Path, url: str, dynamic_config: Sequence[str]) -> str:
    """Return the text of the configuration, and write that of `dynamic_config` into the folder."""
    socket_folder, name = _parts(url)
    dynamic = folder / "dynamic.yaml"
    settings = (setting.split("=", 1) for setting in dynamic_config)
    dynamic.write_text("".join(f"{key}:\n  - value: {value}\n" for key, value in settings))
    sql = (
        f'pluginName: {_PLUGIN}, connectAddr: "localhost:5432", connectProtocol: tcp, user: postgres, password: x, '
        f'connectAttributes: {{host: "{socket_folder}"}}, maxConnLifetime: 1h'
    )
    return _CONFIG.format(
        shards=SHARDS_COUNT,
        sql=sql,
        store=name,
        visibility=_visibility(name),
        connections=CONNECTIONS_COUNT,
        visibility_connections=VISIBILITY_CONNECTIONS_COUNT,
        port=port,
        free=[free_port() for _ in range(8)],
        dynamic=dynamic,
    )


def _visibility(name: str) -> str:
    return f"{name}_visibility"


def _parts(url: str) -> tuple[str, str]:
    """Return the folder of the socket and the name of the database."""
    found = urlsplit(url)
    return parse_qs(found.query)["host"][0], found.path.removeprefix("/")
