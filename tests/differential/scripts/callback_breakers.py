"""A receiver that fails gets no callbacks for a while, and Describe says so."""

from temporalio.api.enums.v1 import CallbackState

from tests.differential.receiver import callbacks, receiving
from tests.differential.registry import script
from tests.differential.scripts.callbacks import settled
from tests.differential.world import World

_SETTINGS = (
    'callback.retryPolicy.initialInterval="200ms"',
    'callback.retryPolicy.maxInterval="300ms"',
)
_SHORT = 'history.outboundQueue.circuitBreakerSettings={"Timeout":"1s"}'


@script(settings=_SETTINGS)
async def callbacks_to_whom_is_down(world: World) -> None:
    """After six failures in a row nobody is sent to that host, whatever the path; elsewhere they are."""
    async with receiving() as receiver, receiving() as other:
        path = "down/500"
        workflow = world.workflow("first")
        await workflow.start(completion_callbacks=callbacks(receiver.url(path)), quiet=True)
        await workflow.terminate(quiet=True)
        await receiver.received(path, 6)
        await settled(workflow, CallbackState.CALLBACK_STATE_SCHEDULED)
        await workflow.describe("of the one that failed")
        held = world.workflow("held")
        urls = callbacks(receiver.url("up/200"))
        await held.start(completion_callbacks=urls, quiet=True)
        await held.terminate(quiet=True)
        elsewhere = world.workflow("elsewhere")
        await elsewhere.start(completion_callbacks=callbacks(other.url("up/200")), quiet=True)
        await elsewhere.terminate(quiet=True)
        await other.received("up/200")
        await world.wait(1)
        await held.describe("of another path")
        world.note("requests", len(await receiver.received(path, 6)))


@script(settings=(*_SETTINGS, _SHORT))
async def callbacks_to_whom_is_up_again(world: World) -> None:
    async with receiving() as receiver:
        path = "down/500/500/500/500/500/500/500/200"
        workflow = world.workflow()
        await workflow.start(completion_callbacks=callbacks(receiver.url(path)), quiet=True)
        await workflow.terminate(quiet=True)
        await receiver.received(path, 8)
        await settled(workflow)
        await workflow.describe()


@script(settings=_SETTINGS)
async def callbacks_to_whom_refuses_for_good(world: World) -> None:
    """He is there, whatever he says."""
    async with receiving() as receiver:
        path = "refuses/400"
        for n in range(7):
            workflow = world.workflow(f"w{n}")
            await workflow.start(completion_callbacks=callbacks(receiver.url(path)), quiet=True)
            await workflow.terminate(quiet=True)
            await settled(workflow)
        await workflow.describe()
