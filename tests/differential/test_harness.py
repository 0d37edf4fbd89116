"""The comparison itself: what it must notice, and what it must not mind."""

import threading
from typing import Any

import pytest

from tests.differential.compare import Intended, differences
from tests.differential.normalise import Normaliser
from tests.differential.registry import SCRIPTS, Script
from tests.differential.servers import MEMORY
from tests.differential.session import Stage
from tests.differential.transcript import Step
from tests.differential.world import World

_RUN_1 = "01a209b2-cf4b-7d2a-83fd-d18dd1472591"
_RUN_2 = "01a209b2-cf4b-7d2a-83fd-d18dd1472592"
_OTHER = "01a209b2-cf4b-7d2a-83fd-d18dd1472593"


def _normal(nonce: str, *outcomes: Any) -> list[Step]:
    return Normaliser(nonce).steps([Step(f"step {n}", o) for n, o in enumerate(outcomes)])


def test_ids_times_and_tokens_of_a_run_do_not_matter() -> None:
    def run(nonce: str, run_id: str, minute: int) -> list[Step]:
        return _normal(
            nonce,
            {"run_id": run_id, "task_token": run_id, "time": f"2026-11-23T18:{minute}:00.5Z"},
            {"message": f"no run {run_id} of w-{nonce}", "history_size_bytes": str(minute)},
            {run_id: {"event_id": "1"}, "data": "InRlcm1pbmF0ZWQi"},
        )

    assert differences(run("aaa", _RUN_1, 10), run("bbb", _RUN_2, 20)) == ([], [])


def test_the_wrong_id_is_noticed() -> None:
    theirs = _normal("aaa", {"run_id": _RUN_1}, {"run_id": _RUN_1})
    ours = _normal("aaa", {"run_id": _RUN_1}, {"run_id": _OTHER})
    found, _ = differences(theirs, ours)
    assert len(found) == 1
    assert found[0].startswith("step 1.run_id")


def test_a_missing_field_is_noticed_even_if_its_value_is_masked() -> None:
    theirs = _normal("aaa", {"task_token": "abc", "attempt": 1})
    found, _ = differences(theirs, _normal("aaa", {"attempt": 1}))
    assert found == ['step 0.task_token\n      real    "<task_token>"\n      perdure (nothing)']


def test_an_event_too_many_is_one_difference() -> None:
    events = [{"event_type": kind} for kind in ("STARTED", "SCHEDULED", "COMPLETED")]
    found, _ = differences(
        _normal("aaa", {"events": events}), _normal("aaa", {"events": events[:1] + events[2:]})
    )
    assert found == [
        'step 0.events[1]\n      real    {"event_type": "SCHEDULED"}\n      perdure (nothing)'
    ]


def test_a_step_that_never_came_is_noticed() -> None:
    found, _ = differences(_normal("aaa", {"a": 1}, {"b": 1}), _normal("aaa", {"a": 1}))
    assert len(found) == 1
    assert found[0].startswith("step 1\n")


def test_intended_differences_are_left_out_and_must_occur() -> None:
    here = Intended("step 0.a", "on purpose")
    nowhere = Intended("step 0.c", "on purpose")
    theirs = _normal("aaa", {"a": 1, "b": 1, "c": 1})
    ours = _normal("aaa", {"a": 2, "b": 2, "c": 1})
    found, stale = differences(theirs, ours, [here, nowhere])
    assert [line.split("\n")[0] for line in found] == ["step 0.b"]
    assert stale == [nowhere]


def test_a_server_that_does_not_start_leaves_nothing_behind() -> None:
    """Or the thread of the servers that did start would keep the process from its end."""

    async def play(world: World) -> None:
        raise AssertionError

    before = set(threading.enumerate())
    script = Script("never", play, intended=(), pending=None, settings=("no setting",))
    with pytest.raises(AssertionError, match="does not serve"), Stage([script], [MEMORY]):
        raise AssertionError("it has started")
    assert set(threading.enumerate()) <= before


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 100
