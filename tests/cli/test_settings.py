"""Settings from a file and from the environment, and how they are refused."""

import json
import tomllib
from pathlib import Path

import msgspec
import pytest

from perdure.dynamic_config import DynamicConfig
from perdure.settings import (
    ServerSettings,
    Settings,
    SettingsError,
    StoreSettings,
    load,
    variables,
    without_password,
)

URL = {"PERDURE_STORE_URL": "sqlite:///perdure.db"}


@pytest.fixture
def file(tmp_path):
    def write(text: str):
        path = tmp_path / "perdure.toml"
        path.write_text(text)
        return path

    return write


def test_a_file(file):
    settings = load(
        file("""
            namespaces = ["default", "orders"]
            [server]
            port = 7000
            [store]
            url = "postgresql://u:p@db/perdure"
            pool_size = 4
            [search_attributes]
            Color = "Keyword"
            [dynamic_config]
            "limit.maxIDLength" = 255
            frontend.rps = 10
        """),
        {},
    )
    assert settings.server == ServerSettings(port=7000)
    assert settings.store.pool_size == 4
    assert settings.namespaces == ("default", "orders")
    assert settings.search_attributes == {"Color": "Keyword"}
    assert settings.dynamic_config["limit.maxIDLength"] == 255
    assert DynamicConfig(settings.dynamic_config).integer("frontend.rps", 0) == 10


def test_the_environment_wins_over_the_file(file):
    path = file('[store]\nurl = "sqlite:///a"\n[server]\nport = 1\nip = "::1"\n')
    settings = load(path, {"PERDURE_SERVER_PORT": "2", "HOME": "/", "PERDURE_LOG_FORMAT": "json"})
    assert (settings.server.port, settings.server.ip) == (2, "::1")
    assert settings.store.url == "sqlite:///a"
    assert settings.log.format == "json"


EXAMPLES = {
    "PERDURE_NAMESPACES": ("a, b", ("a", "b")),
    "PERDURE_SEARCH_ATTRIBUTES": ('{"Color": "Keyword"}', {"Color": "Keyword"}),
    "PERDURE_DYNAMIC_CONFIG": ('{"a.b": [1, true]}', {"a.b": [1, True]}),
    "PERDURE_STORE_SQLITE_PRAGMAS": ('{"cache_size": "-100"}', {"cache_size": "-100"}),
    "PERDURE_STORE_VISIBILITY_URL": ("sqlite:///lists.db", "sqlite:///lists.db"),
    "PERDURE_STORE_URL": ("sqlite::memory:", "sqlite::memory:"),
    "PERDURE_LOG_FORMAT": ("pretty", "pretty"),
    "PERDURE_LOG_LEVEL": ("never", "never"),
}
CERTIFICATE = {"PERDURE_SERVER_TLS_CERTIFICATE": "17", "PERDURE_SERVER_TLS_KEY": "17"}
#: Settings that mean nothing without others.
NEEDED = dict.fromkeys((*CERTIFICATE, "PERDURE_SERVER_TLS_CLIENT_CA"), CERTIFICATE)


@pytest.mark.parametrize("name", variables())
def test_every_key_is_a_variable(name):
    text, expected = EXAMPLES.get(name, ("17", None))
    keys, _ = variables()[name]
    value = load(None, URL | NEEDED.get(name, {}) | {name: text})
    for key in keys:
        value = getattr(value, key)
    assert value == (expected if name in EXAMPLES else type(value)("17"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            "store.url: expected sqlite:///FILE, sqlite::memory: or postgresql://HOST/DATABASE, got nothing",
        ),
        ('[store]\nurl = "mysql://u:secret@h/d"', "store.url: expected"),
        (
            '[store]\nurl = "sqlite:///a"\nvisibility_url = "mysql://u:secret@h/d"',
            "store.visibility_url: expected",
        ),
        (
            '[store]\nurl = "sqlite:///a"\nvisibility_url = "sqlite:///a"',
            "store.visibility_url: it is the same database as url",
        ),
        ("[server]\nprot = 1", "unknown key: server.prot"),
        ("sever = 1", "unknown key: sever"),
        ("server = 1", "server: expected object, got int"),
        ('[server]\nport = "7233"', "server.port: expected int, got str"),
        ("[server]\nport = 65536", "server.port: expected int <= 65535"),
        ("[server]\ndrain_seconds = -1", "server.drain_seconds: expected"),
        ('[log]\nlevel = "loud"', "log.level: invalid enum value 'loud'"),
        ('[search_attributes]\nColor = "Colour"', "search_attributes"),
        ("[cluster]\nname = ''", "cluster.name: expected str of length >= 1"),
        ("[server\n", "not a TOML file"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(file, text, said):
    path = file(text)
    with pytest.raises(SettingsError) as refused:
        load(path, {})
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PERDURE_SERVER_PROT", "1", "unknown environment variable: PERDURE_SERVER_PROT"),
        ("PERDURE_SERVER_PORT", "x", "PERDURE_SERVER_PORT: expected int, got str"),
        ("PERDURE_SERVER_PORT", "70000", "PERDURE_SERVER_PORT: expected int <= 65535"),
        ("PERDURE_DYNAMIC_CONFIG", "{", "PERDURE_DYNAMIC_CONFIG: "),
        ("PERDURE_STORE_URL", "x", "store.url: expected"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(name, value, said):
    with pytest.raises(SettingsError) as refused:
        load(None, URL | {name: value})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(SettingsError, match=r"^/nonexistent/x\.toml: No such file or directory$"):
        load(Path("/nonexistent/x.toml"), {})


def test_what_kubernetes_puts_into_a_pod_beside_a_service_named_perdure_is_not_a_setting():
    links = {
        "PERDURE_SERVICE_HOST": "10.0.0.1",
        "PERDURE_SERVICE_PORT": "7233",
        "PERDURE_SERVICE_PORT_GRPC": "7233",
        "PERDURE_PORT": "tcp://10.0.0.1:7233",
        "PERDURE_PORT_7233_TCP": "tcp://10.0.0.1:7233",
        "PERDURE_PORT_7233_TCP_ADDR": "10.0.0.1",
        "PERDURE_SERVER_PORT": "tcp://10.0.0.1:7233",
    }
    assert load(None, URL | links) == load(None, URL)


def test_as_a_file_settings_say_the_same_but_for_passwords():
    settings = Settings(
        store=StoreSettings(
            url="postgresql://me:secret@db:5432/perdure",
            visibility_url="postgresql://me:secret@lists:5432/perdure",
        ),
        search_attributes={"My Color": "Keyword"},
        dynamic_config={"limit.maxIDLength": 3, "deep": {"a": 'quote " and \\'}},
    )
    text = settings.to_toml()
    assert "secret" not in text
    read = msgspec.convert(tomllib.loads(text), Settings)
    assert read.store.url == "postgresql://me:***@db:5432/perdure"
    assert read.store.visibility_url == "postgresql://me:***@lists:5432/perdure"
    assert read.dynamic_config == settings.dynamic_config
    assert read.search_attributes == settings.search_attributes
    assert json.loads(json.dumps(msgspec.to_builtins(read.server))) == msgspec.to_builtins(
        settings.server
    )


def test_passwords_are_not_shown():
    assert without_password("postgresql://a:b@c/d") == "postgresql://a:***@c/d"
    assert without_password("postgresql://a@c/d") == "postgresql://a@c/d"
    assert without_password("sqlite:///x") == "sqlite:///x"
    assert "b" not in without_password("postgresql://a:b@[c/d")
