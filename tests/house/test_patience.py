"""What hangs fails, and says where: else one test would keep all others from running."""

import asyncio
import threading

import pytest

from tests import conftest


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "_PATIENCE_S", 0.05)


def test_a_thread_that_waits_for_ever() -> None:
    with pytest.raises(pytest.fail.Exception, match="it hangs"), conftest.patience():
        threading.Event().wait()


def test_a_task_that_waits_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    async def what_never_comes() -> None:
        await asyncio.Event().wait()

    with pytest.raises(pytest.fail.Exception, match="it hangs"), conftest.patience():
        asyncio.run(what_never_comes())
    assert "in what_never_comes" in capsys.readouterr().err


def test_what_comes_to_its_end_in_time() -> None:
    with conftest.patience():
        pass
    threading.Event().wait(0.1)
