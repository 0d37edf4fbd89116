"""How a worker groups what it commands: kept with the event of each command, whatever its kind."""

from google.protobuf.json_format import ParseDict
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    cancel_activity,
    cancel_external,
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    json_payloads,
    record_marker,
    schedule_activity,
    search_attribute,
    signal_external,
    start_child,
    start_timer,
    upsert_memo,
    upsert_search_attributes,
)
from tests.differential.registry import add, script
from tests.differential.world import World


def _grouped(built: Command) -> Command:
    label = {"id": "group", "label": json_payloads("label")["payloads"][0]}
    ParseDict(
        {
            "user_metadata": {"summary": json_payloads("summary")["payloads"][0]},
            "event_group_markers": [
                {"label": label},
                {"inbound_event": {"inbound_event_id": 1}},
                {"inbound_update": {"inbound_update_id": "u"}},
            ],
        },
        built,
    )
    return built


@script
async def groups_of_commands(world: World) -> None:
    workflow, child = world.workflow(), world.workflow("child")
    queue = world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(
        *(
            _grouped(each)
            for each in (
                start_timer("t", 100),
                schedule_activity("a", queue),
                start_child(child.id, child.task_queue),
                record_marker("m"),
                upsert_memo(m=json_payloads("m")["payloads"][0]),
                upsert_search_attributes(
                    TemporalChangeVersion=search_attribute('["a"]', "KeywordList")
                ),
                cancel_timer("t"),
                cancel_activity(6),
            )
        )
    )
    task = await child.poll()
    child.saw_run(task.reply.workflow_execution.run_id)
    await workflow.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)


@script
async def groups_of_commands_to_others(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    signal = signal_external("nobody", "s", control="control")
    await workflow.poll_and_complete(_grouped(signal))
    await workflow.until(EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)
    cancel = cancel_external("nobody", control="control")
    await workflow.poll_and_complete(_grouped(cancel))
    await workflow.until(EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)


def _add_end(name: str, built: Command) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start()
        await workflow.poll_and_complete(_grouped(start_timer("t", 100)), _grouped(built))

    add(f"groups_at_an_end_{name}", play)


for _name, _built in (
    ("completed", complete_workflow()),
    ("failed", fail_workflow()),
    ("cancelled", cancel_workflow()),
    ("continued", continue_as_new()),
):
    _add_end(_name, _built)
