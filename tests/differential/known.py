"""Where perdure differs from the real server, for now or for good; every entry says why."""

from tests.differential.compare import Intended

#: In whichever script these fields turn up.
EVERYWHERE = (
    Intended(
        "*.supports_schedules", "schedules are not there yet, and clients switch them on by this"
    ),
    Intended("*.effective_rate_limit.requests_per_second", "perdure limits no rates"),
    Intended("*.task_queue_status.rate_per_second", "perdure limits no rates"),
    Intended("*.task_queue_status.task_id_block", "perdure's tasks need no ids of their own"),
)

#: Scripts that perdure does not pass yet. Each must fail as long as it is listed here.
PENDING = {
    "continue_by_cron": "cron and the retry policy of workflows are stored, and not acted on",
    "eager_start": "the first task is not handed out with the answer to a start",
    "history_while_a_task_is_in_flight": "an odd page size cuts history elsewhere",
    "queues_refused": "the name of a queue's part is not looked into",
    "refused_signals_with_start": "cron is not there: it is refused by name",
    "refused_starts": "cron is not there: it is refused by name",
    "retried_run": "the retry policy of a workflow is stored, and not acted on",
    "run_that_is_not_retried": "the retry policy of a workflow is stored, and not acted on",
    "signal_with_start_delayed": "the task that ends a start delay is scheduled after the signal",
    "terminate_with_everything_pending": "a closed run shows no pending activities",
    "timed_out_run_is_retried": "the retry policy of a workflow is stored, and not acted on",
    "two_queries_at_once": "perdure lets more than one query wait for a task",
    "workflows_listed_by_pages": "perdure knows that a page is the last one",
}
