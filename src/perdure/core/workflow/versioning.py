"""The workers that a run goes to: an override of what its workers say decides.

There are no worker deployments here yet, so a run can be sent to the latest version, and to none in particular.
"""

from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.workflow.v1 import VersioningOverride

from perdure.core.errors import Code, Rejected, invalid_argument

_PINNED = VersioningBehavior.VERSIONING_BEHAVIOR_PINNED
_AUTO_UPGRADE = VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE


def check_override(override: VersioningOverride, task_queue: str) -> None:
    """Raise `Rejected` unless a run whose tasks go to `task_queue` may have this override."""
    match override.WhichOneof("override"):
        case "auto_upgrade":
            if not override.auto_upgrade:
                raise invalid_argument("auto-upgrade override must be true")
        case "pinned":
            if not override.pinned.HasField("version"):
                raise invalid_argument("must provide version if override is pinned.")
            if not override.pinned.behavior:
                raise invalid_argument(
                    "must specify pinned override behavior if override is pinned."
                )
            version = override.pinned.version
            raise _absent(version.deployment_name, version.build_id, task_queue)
        case "one_time":
            if not override.one_time.HasField("target_deployment_version"):
                raise invalid_argument(
                    "must provide target deployment version if override is one-time."
                )
            version = override.one_time.target_deployment_version
            raise _absent(version.deployment_name, version.build_id, task_queue)
        case _:
            _check_old_form(override, task_queue)


def _check_old_form(override: VersioningOverride, task_queue: str) -> None:
    if override.behavior == VersioningBehavior.VERSIONING_BEHAVIOR_UNSPECIFIED:
        raise invalid_argument("override behavior is required")
    if override.behavior == _AUTO_UPGRADE:
        if override.HasField("deployment"):
            raise invalid_argument("only provide deployment if behavior is 'PINNED'")
        if override.pinned_version:
            raise invalid_argument("only provide pinned version if behavior is 'PINNED'")
        return
    if override.behavior != _PINNED:
        raise invalid_argument(f"override behavior {override.behavior} not recognized")
    if override.HasField("deployment"):
        raise _absent(override.deployment.series_name, override.deployment.build_id, task_queue)
    if not override.pinned_version:
        raise invalid_argument(
            "must provide deployment (deprecated) or pinned version if behavior is 'PINNED'"
        )
    name, _, build_id = override.pinned_version.partition(".")
    raise _absent(name, build_id, task_queue)


def _absent(name: str, build_id: str, task_queue: str) -> Rejected:
    return Rejected(
        Code.FAILED_PRECONDITION,
        f"Pinned version '{name}:{build_id}' is not present in task queue '{task_queue}'"
        " of type 'Workflow'",
    )


def recorded(override: VersioningOverride) -> VersioningOverride:
    """Return a checked override as events have it: in the newer of its two forms."""
    if override.WhichOneof("override") is None and override.behavior == _AUTO_UPGRADE:
        return VersioningOverride(auto_upgrade=True)
    return override


def described(override: VersioningOverride) -> VersioningOverride:
    """Return a recorded override as descriptions have it: in both forms."""
    shown = VersioningOverride()
    shown.CopyFrom(override)
    if override.auto_upgrade:
        shown.behavior = _AUTO_UPGRADE
    return shown
