"""`perdure schema …` on a SQLite file. That every store's schema moves forward is tested with the stores."""

import pytest

from perdure.cli import main


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'perdure.db'}"


@pytest.fixture
def schema(url, capsys):
    def run(command: str):
        code = main(["schema", command, "--url", url])
        out, err = capsys.readouterr()
        assert bool(err) == (code != 0)
        assert (out + err).count("\n") == 1
        return code, (out + err).removesuffix("\n")

    return run


def test_from_nothing_to_current(schema):
    assert schema("version") == (0, "none")
    assert schema("upgrade") == (
        1,
        "Error: the tables do not exist yet: use `perdure schema setup`",
    )
    code, _ = schema("check")
    assert code == 1
    code, said = schema("setup")
    assert code == 0
    version = said.removeprefix("schema set up at version ")
    assert schema("version") == (0, version)
    assert schema("upgrade") == (0, f"schema is at version {version} already")
    assert schema("check") == (0, "schema is current")
    assert schema("rebuild-lists") == (
        0,
        "lists show 0 executions; the server may start without `visibility_url`",
    )
    code, said = schema("setup")
    assert code == 1
    assert version in said


def test_the_database_may_be_named_by_a_file_or_the_environment(url, tmp_path, capsys, monkeypatch):
    config = tmp_path / "perdure.toml"
    config.write_text(f'[store]\nurl = "{url}"\n')
    assert main(["schema", "setup", "--config", str(config)]) == 0
    monkeypatch.setenv("PERDURE_STORE_URL", url)
    assert main(["schema", "check"]) == 0


def test_a_database_for_lists_is_looked_after_as_well(url, tmp_path, capsys):
    config = tmp_path / "perdure.toml"
    config.write_text(
        f'[store]\nurl = "{url}"\nvisibility_url = "sqlite:///{tmp_path / "lists.db"}"\n'
    )

    def schema(command):
        code = main(["schema", command, "--config", str(config)])
        out, err = capsys.readouterr()
        return code, out + err

    assert main(["schema", "setup", "--url", url]) == 0
    capsys.readouterr()
    _, said = schema("version")
    number, other = said.splitlines()
    assert other == "visibility database: none"
    code, said = schema("check")
    assert code == 1
    assert said.endswith(
        "Error: visibility database: the database has no tables yet: run `perdure schema setup`\n"
    )
    code, said = schema("upgrade")
    assert code == 1
    assert "visibility database: the tables do not exist yet" in said
    assert schema("setup") == (0, f"visibility database: schema set up at version {number}\n")
    assert schema("setup")[0] == 1
    assert schema("version") == (0, f"{number}\nvisibility database: {number}\n")
    assert schema("upgrade")[0] == 0
    assert schema("check") == (0, "schema is current\nvisibility database: schema is current\n")
