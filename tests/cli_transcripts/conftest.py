"""All the transcripts that this run asks for, recorded once: the scripts run beside one another."""

import asyncio

import pytest

from tests.cli_transcripts.player import Entry, record
from tests.cli_transcripts.script import all_scripts

Transcripts = dict[tuple[str, str], list[Entry]]


@pytest.fixture(scope="session")
def transcripts(request: pytest.FixtureRequest) -> Transcripts:
    names = {
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and "transcripts" in item.fixturenames
    }
    scripts = all_scripts()
    return asyncio.run(record([scripts[name] for name in sorted(names)]))
