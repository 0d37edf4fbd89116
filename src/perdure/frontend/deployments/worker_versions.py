"""Workers name the deployment and the build that they belong to.

Worker deployments are not implemented yet: a worker that wants tasks of its own version only is refused. A worker that
merely names its deployment gets tasks like all others.
"""

from typing import Any

from temporalio.api.deployment.v1 import WorkerDeploymentOptions
from temporalio.api.enums.v1 import TaskQueueKind, VersioningBehavior, WorkerVersioningMode
from temporalio.api.workflowservice.v1 import RespondWorkflowTaskCompletedRequest

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.limits import Limits

#: Temporal: an internal id holds a deployment's and a build's name, and this many other bytes.
_OTHER_LENGTH = 39


def check_poller(request: Any, limits: Limits) -> None:
    """Raise `Rejected` unless the worker that polls, for workflow or activity tasks, may get tasks."""
    capabilities, queue = request.worker_version_capabilities, request.task_queue
    names_version = capabilities.use_versioning or request.HasField("deployment_options")
    if (
        names_version
        and queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY
        and not queue.normal_name
    ):
        raise invalid_argument(
            "NormalName must be set on sticky queue when UseVersioning is true or"
            " DeploymentOptions are set."
        )
    _check_build(capabilities, limits)
    _check_options(request.deployment_options, limits)


def check_completion(request: RespondWorkflowTaskCompletedRequest, limits: Limits) -> None:
    _check_build(request.worker_version_stamp, limits)
    _check_options(request.deployment_options, limits)
    # Temporal: the deprecated `deployment` counts only with a behavior. Go workers send it with every completion.
    if request.versioning_behavior != VersioningBehavior.VERSIONING_BEHAVIOR_UNSPECIFIED:
        if request.HasField("deployment"):
            raise _not_there()
        raise invalid_argument(
            "versioning behavior cannot be specified without deployment options being set with"
            " versioned mode"
        )


def _check_build(said: Any, limits: Limits) -> None:
    if said.use_versioning and not said.build_id:
        raise invalid_argument("WorkerVersionStamp must be present if UseVersioning is true.")
    if len(said.build_id.encode()) > limits.max_build_id_length:
        raise invalid_argument(
            "Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID."
        )


def _check_options(options: WorkerDeploymentOptions, limits: Limits) -> None:
    mode = options.worker_versioning_mode
    if mode != WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED:
        return
    if not options.deployment_name or not options.build_id:
        raise invalid_argument("Deployment name and build id must be set together.")
    length_max = (limits.max_id_length - _OTHER_LENGTH) // 2
    for what, name, foreign in (
        ("WorkerDeploymentName", options.deployment_name, ".:"),
        ("BuildID", options.build_id, ""),
    ):
        if len(name.encode()) > length_max:
            raise invalid_argument(f"size of {what} larger than the maximum allowed")
        for separator in foreign:
            if separator in name:
                raise invalid_argument(f"worker deployment name cannot contain '{separator}'")
        if name.startswith("__"):
            raise invalid_argument(f"{what} cannot start with '__'")
    raise _not_there()


def _not_there() -> Rejected:
    return Rejected(Code.UNIMPLEMENTED, "worker deployments are not implemented")
