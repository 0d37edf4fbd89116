"""Where perdure differs from the real server, for now or for good; every entry says why."""

from tests.differential.compare import Intended

#: In whichever script these fields turn up.
EVERYWHERE = (
    Intended(
        "*.supports_schedules", "schedules are not there yet, and clients switch them on by this"
    ),
    Intended(
        "*activity_options.retry_policy.non_retryable_error_types",
        "the real server shows an activity's retry policy without them",
    ),
    Intended("*.effective_rate_limit.requests_per_second", "perdure itself limits no rates"),
    Intended("*.task_queue_status.rate_per_second", "perdure itself limits no rates"),
    Intended("*.task_queue_status.task_id_block", "perdure's tasks need no ids of their own"),
)

#: Scripts that perdure does not pass yet. Each must fail as long as it is listed here.
PENDING: dict[str, str] = {}
