"""Limits the memory for completion pages that wait for their last one: of all tasks, and of one namespace.

The pages belong to the runs (`core/workflow/completion_pages.py`); here they are only counted, as long as they live.
"""

from weakref import WeakKeyDictionary

from perdure.core.limits import Limits
from perdure.core.workflow.started_task import Pages


class CompletionPages:
    def __init__(self) -> None:
        #: → id of the namespace.
        self._kept: WeakKeyDictionary[Pages, str] = WeakKeyDictionary()

    def count(self, namespace_id: str, pages: Pages) -> None:
        self._kept[pages] = namespace_id

    def room(self, namespace_id: str, limits: Limits) -> int | None:
        """Return how many bytes more a namespace may keep; None: there is no limit."""
        most = limits.completion_pages_size
        if most <= 0:
            return None
        total = own = 0
        for pages, owner in self._kept.items():
            total += pages.size
            own += pages.size if owner == namespace_id else 0
        return min(most - total, int(most * limits.completion_pages_share) - own)
