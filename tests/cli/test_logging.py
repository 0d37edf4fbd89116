"""The form of log lines."""

import io
import json
import logging

import pytest
import structlog

import perdure.logging


@pytest.fixture
def lines():
    """Configure logging onto a stream; undo it afterwards, so that the test run keeps its own."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()

    def configure(form, level="info"):
        perdure.logging.configure(form, level, stream)
        return lambda: stream.getvalue().splitlines()

    yield configure
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def log():
    return structlog.get_logger("perdure.test")


def test_json_is_one_object_a_line(lines):
    written = lines("json")
    log().warning("task timed out", namespace="default", workflow_id="w 1", run_id="r", kind=object)
    (line,) = map(json.loads, written())
    assert list(line)[:3] == ["time", "level", "msg"]
    assert line["time"].endswith("Z")
    assert (line["level"], line["msg"]) == ("WARN", "task timed out")
    assert (line["namespace"], line["workflow_id"], line["run_id"]) == ("default", "w 1", "r")


def test_text_is_one_line_of_keys_and_values_whatever_they_hold(lines):
    written = lines("text")
    log().info("two\nlines", empty="", quote='a"b', equals="a=b", plain="x", true=True, n=1)
    (line,) = written()
    assert line.endswith(
        r'level=INFO msg="two\nlines" empty="" quote="a\"b" equals="a=b" plain=x true=true n=1'
    )
    assert line.startswith("time=")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_stays_on_its_line(lines, form):
    written = lines(form)
    try:
        raise ValueError("because")
    except ValueError:
        log().exception("failed")
    (line,) = written()
    assert "ERROR" in line
    assert "ValueError: because" in line


def test_pretty_shows_message_and_keys(lines):
    written = lines("pretty")
    log().info("listening", port=1)
    assert "listening" in written()[0]
    assert "port=1" in written()[0]


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["d", "i", "w", "e"]),
        ("info", ["i", "w", "e"]),
        ("warn", ["w", "e"]),
        ("error", ["e"]),
        ("never", []),
    ],
)
def test_levels(lines, level, heard):
    written = lines("json", level)
    for source in (log(), logging.getLogger("library")):
        source.debug("d")
        source.info("i")
        source.warning("w")
        source.error("e")
    assert [json.loads(line)["msg"] for line in written()] == heard * 2


def test_what_libraries_log_comes_out_in_the_same_form(lines):
    written = lines("json")
    logging.getLogger("asyncio").error("task %s was lost", 7)
    (line,) = map(json.loads, written())
    assert (line["msg"], line["level"], line["logger"]) == ("task 7 was lost", "ERROR", "asyncio")


def test_context_of_a_task_is_on_every_line(lines):
    written = lines("json")
    with structlog.contextvars.bound_contextvars(namespace="default", workflow_id="w"):
        log().info("x")
    assert json.loads(written()[0])["workflow_id"] == "w"
