"""How much room the pages of completions have."""

from perdure.core.limits import Limits
from perdure.core.workflow.started_task import Pages
from perdure.runtime.completion_pages import CompletionPages

_LIMITS = Limits(completion_pages_size=100, completion_pages_share=0.5)


def _pages(size: int) -> Pages:
    pages = Pages()
    pages.size = size
    return pages


def test_a_namespace_has_its_share() -> None:
    kept = CompletionPages()
    one, other = _pages(30), _pages(40)
    assert kept.room("a", _LIMITS) == 50
    kept.count("a", one)
    assert (kept.room("a", _LIMITS), kept.room("b", _LIMITS)) == (20, 50)
    kept.count("b", other)
    assert (kept.room("a", _LIMITS), kept.room("b", _LIMITS)) == (20, 10)
    one.size = 60
    assert kept.room("c", _LIMITS) == 0


def test_what_is_gone_takes_no_room() -> None:
    kept = CompletionPages()
    pages = _pages(50)
    kept.count("a", pages)
    assert kept.room("a", _LIMITS) == 0
    del pages
    assert kept.room("a", _LIMITS) == 50


def test_there_may_be_no_limit() -> None:
    assert CompletionPages().room("a", Limits(completion_pages_size=0)) is None
