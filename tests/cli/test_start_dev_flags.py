"""`perdure server start-dev` turns its command line into settings. The reference is `temporal server start-dev`."""

import argparse

import pytest

from perdure.cli import main
from perdure.cli.flags import Parser, Refused
from perdure.cli.start_dev import add_to, settings_of
from perdure.settings import Settings


def settings(*arguments: str) -> Settings:
    root = Parser("perdure", "")
    add_to(root.group("server", "Run a server"))
    return settings_of(root.parse(arguments))


def start_dev(*arguments: str) -> Settings:
    return settings("server", "start-dev", *arguments)


def test_without_flags():
    plain = start_dev()
    assert (plain.server.ip, plain.server.port) == ("127.0.0.1", 7233)
    assert (plain.server.http_port, plain.server.metrics_port) == (0, 0)
    assert plain.store.url == "sqlite::memory:"
    assert (plain.log.level, plain.log.format) == ("warn", "text")
    assert plain.namespaces == ("default",)


def test_what_every_sdk_passes_to_start_a_dev_server():
    """The command line that the SDKs' shared core builds, word for word."""
    built = start_dev(
        *("--port", "41234", "--namespace", "default", "--ip", "127.0.0.1"),
        *("--log-format", "pretty", "--log-level", "warn"),
        *("--dynamic-config-value", "frontend.enableServerVersionCheck=false"),
        *("--dynamic-config-value", "frontend.enableUpdateWorkflowExecution=true"),
        *("--dynamic-config-value", "frontend.enableUpdateWorkflowExecutionAsyncAccepted=true"),
        *("--db-filename", "dev.db", "--headless"),
    )
    assert built.server.port == 41234
    assert built.store.url == "sqlite:///dev.db"
    assert (built.log.level, built.log.format) == ("warn", "pretty")
    assert built.dynamic_config == {
        "frontend.enableServerVersionCheck": False,
        "frontend.enableUpdateWorkflowExecution": True,
        "frontend.enableUpdateWorkflowExecutionAsyncAccepted": True,
    }


def test_short_forms():
    short = start_dev("-p", "1234", "-f", "/tmp/x.db", "-n", "one", "-n", "two", "-n", "one")
    assert short.server.port == 1234
    assert short.store.url == "sqlite:////tmp/x.db"
    assert short.namespaces == ("default", "one", "two")
    assert start_dev("-p1234").server.port == start_dev("--port=1234").server.port == 1234


def test_a_comma_does_not_separate_what_can_be_repeated():
    assert start_dev("-n", "a,b").namespaces == ("default", "a,b")


def test_pairs_keep_what_follows_the_first_equals_sign():
    built = start_dev(
        *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "a=b=c"),
        *("--search-attribute", "Color=keyword", "--search-attribute", "Size=Int"),
        *("--dynamic-config-value", 'a.b="c=d"', "--dynamic-config-value", "n=1"),
        *("--dynamic-config-value", "n=2.5"),
    )
    assert built.store.sqlite_pragmas == {"journal_mode": "wal", "a": "b=c"}
    assert built.search_attributes == {"Color": "Keyword", "Size": "Int"}
    assert built.dynamic_config == {"a.b": "c=d", "n": 2.5}


@pytest.mark.parametrize(
    "line",
    [
        ["--log-level", "debug", "server", "start-dev"],
        ["server", "--log-level", "debug", "start-dev"],
        ["server", "start-dev", "--log-level", "debug"],
        ["--log-level", "error", "server", "start-dev", "--log-level", "debug"],
    ],
)
def test_global_flags_may_stand_anywhere(line):
    assert settings(*line).log.level == "debug"


def test_flags_that_only_clients_need_are_taken():
    assert start_dev("--color", "never", "--output", "json", "-o", "text", "--env", "x")
    assert start_dev("--ui-port", "8080", "--ui-ip", "0.0.0.0", "--ui-codec-endpoint", "http://x")
    assert start_dev("--ui-asset-path", "x", "--ui-public-path", "/x", "--ui-disable-news-fetch")


def test_a_switch_may_carry_a_value():
    root = Parser("perdure", "")
    root.add_switch("--headless")
    for line, value in (
        ([], False),
        (["--headless"], True),
        (["--headless=true"], True),
        (["--headless=false"], False),
    ):
        assert root.parse(line) == argparse.Namespace(**vars(root.parse([])) | {"headless": value})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("server start-dev --nope", "unknown flag: --nope"),
        ("server start-dev --port=1 --head", "unknown flag: --head"),
        ("server start-dev extra", "unknown argument: extra"),
        ("server start-dev --port abc", "--port"),
        ("server start-dev --port 65536", "--port: 65536 is not a port"),
        ("server start-dev --http-port -1", "--http-port"),
        ("server start-dev --port", "--port"),
        ("server start-dev --headless=maybe", "maybe"),
        ("server start-dev --log-level loud", "loud"),
        ("server start-dev --log-format xml", "xml"),
        ("server start-dev --sqlite-pragma foo", "invalid pragma: missing expected '=' in \"foo\""),
        ("server start-dev --search-attribute A", "invalid search attributes"),
        ("server start-dev --search-attribute A=Color", 'value type "Color"'),
        ("server start-dev --dynamic-config-value a", "invalid dynamic config values"),
        ("server start-dev --dynamic-config-value a=b", 'invalid JSON value for key "a"'),
        ("server start-dev --namespace=", "namespaces"),
        ("server", '"perdure server" needs a command: start-dev, start'),
        ("server stop", "unknown command: 'stop'"),
        ("schema", "needs a command"),
        ("schema version --config /nonexistent/perdure.toml", "/nonexistent/perdure.toml"),
        ("schema version --config a --url b", "--url or --config"),
        ("schema check --url mysql://x", "mysql"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_failure(arguments, said, capsys):
    assert main(arguments.split()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_refusal_is_raised_for_callers_in_python():
    with pytest.raises(Refused, match="not a port"):
        start_dev("--metrics-port", "70000")


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as exited:
        main(["--version"])
    assert exited.value.code == 0
    assert capsys.readouterr().out.startswith("perdure ")
