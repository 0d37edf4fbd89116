"""Which overrides of what its workers say a run may have."""

import pytest
from google.protobuf.json_format import ParseDict
from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.workflow.v1 import VersioningOverride

from perdure.core.errors import Rejected
from perdure.core.workflow.versioning import check_override, described, recorded

AUTO = VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
VERSION = {"deployment_name": "d", "build_id": "b"}
ABSENT = (
    "FAILED_PRECONDITION: Pinned version 'd:b' is not present in task queue 'q' of type 'Workflow'"
)


def override(**fields: object) -> VersioningOverride:
    return ParseDict(fields, VersioningOverride())


@pytest.mark.parametrize(
    "allowed", [override(auto_upgrade=True), override(behavior="VERSIONING_BEHAVIOR_AUTO_UPGRADE")]
)
def test_a_run_may_go_to_the_latest_version(allowed: VersioningOverride) -> None:
    check_override(allowed, "q")
    assert recorded(allowed) == override(auto_upgrade=True)
    assert described(recorded(allowed)) == VersioningOverride(auto_upgrade=True, behavior=AUTO)
    assert recorded(allowed).behavior == 0, "what is described is a copy"


def test_what_is_no_upgrade_is_described_as_it_is() -> None:
    nothing = VersioningOverride()
    assert recorded(nothing) == nothing
    assert described(nothing) == nothing


PINNED = "VERSIONING_BEHAVIOR_PINNED"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"auto_upgrade": False}, "auto-upgrade override must be true"),
        ({"pinned": {}}, "must provide version if override is pinned."),
        (
            {"pinned": {"version": VERSION}},
            "must specify pinned override behavior if override is pinned.",
        ),
        (
            {"pinned": {"version": VERSION, "behavior": "PINNED_OVERRIDE_BEHAVIOR_PINNED"}},
            ABSENT,
        ),
        (
            {"one_time": {}},
            "must provide target deployment version if override is one-time.",
        ),
        ({"one_time": {"target_deployment_version": VERSION}}, ABSENT),
        ({}, "override behavior is required"),
        (
            {"behavior": "VERSIONING_BEHAVIOR_AUTO_UPGRADE", "deployment": {}},
            "only provide deployment if behavior is 'PINNED'",
        ),
        (
            {"behavior": "VERSIONING_BEHAVIOR_AUTO_UPGRADE", "pinned_version": "d.b"},
            "only provide pinned version if behavior is 'PINNED'",
        ),
        ({"behavior": 17}, "override behavior 17 not recognized"),
        ({"behavior": PINNED, "deployment": {"series_name": "d", "build_id": "b"}}, ABSENT),
        (
            {"behavior": PINNED},
            "must provide deployment (deprecated) or pinned version if behavior is 'PINNED'",
        ),
        ({"behavior": PINNED, "pinned_version": "d.b"}, ABSENT),
    ],
)
def test_other_overrides_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(Rejected) as refused:
        check_override(override(**wrong), "q")
    told = f"{refused.value.code.name}: {refused.value.message}"
    assert told == (message if ": " in message else f"INVALID_ARGUMENT: {message}")
