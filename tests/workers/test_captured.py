"""Each kind of request that workers of four SDKs send by default is answered, and by the real server likewise.

The requests are in `captured`, written by `make captures`. Nothing of those SDKs is needed here.
"""

import asyncio
import re

import pytest

from tests.differential.servers import REAL, running
from tests.differential.wire import Wire
from tests.workers.conftest import register_search_attribute
from tests.workers.kinds import CAPTURED, Captured, populated, read, read_headers
from tests.workers.replay import replay

SDKS = sorted(path.name for path in CAPTURED.iterdir())

with_every_sdk = pytest.mark.parametrize("sdk", SDKS)


async def refusals(address, sdk):
    """Return (method, what it sends, the refusal) of each request that is refused."""
    folder = CAPTURED / sdk
    headers = read_headers(folder)
    wire = Wire(address)
    try:
        answers = [(captured, await replay(wire, captured, headers)) for captured in read(folder)]
    finally:
        await wire.close()
    return [(told(captured), answer) for captured, answer in answers if answer != "OK"]


def told(captured: Captured) -> str:
    fields = sorted(path for path in populated(captured.request) if path.count(".") < 2)
    return f"{captured.method.rpartition('/')[2]} with {', '.join(fields)}"


def test_four_sdks_were_captured_with_two_releases_each():
    assert [sdk.rpartition("-")[0] for sdk in SDKS] == sorted(
        2 * ["go", "java", "python", "typescript"]
    )


@with_every_sdk
@pytest.mark.parametrize("page", ["README.md", "docs/conformance.md"])
def test_the_pages_name_the_release(page, sdk, pytestconfig):
    version = sdk.rpartition("-")[2]
    assert re.search(rf"\b{re.escape(version)}\b", (pytestconfig.rootpath / page).read_text())


@with_every_sdk
async def test_no_request_is_refused(server_on, sdk):
    assert await refusals(server_on("memory").address, sdk) == []


@pytest.mark.slow
async def test_the_real_server_refuses_none_either():
    async with running(REAL) as address:
        register_search_attribute(address)
        refused = await asyncio.gather(*(refusals(address, sdk) for sdk in SDKS))
    assert dict(zip(SDKS, refused, strict=True)) == {sdk: [] for sdk in SDKS}
