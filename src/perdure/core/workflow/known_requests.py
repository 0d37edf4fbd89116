"""Requests of operators by their ids: one that a client sends again, because it got no answer, changes nothing.

A run knows those that paused it or let it go on, an activity all that operators asked for it (`known_requests`).

Temporal: only the request that has paused something is known, and only until that goes on.
"""

#: A client sends a request again within moments, not after so many others.
KNOWN_MAX = 50


def is_known(known: list[str], what: str, request_id: str) -> bool:
    """Return whether a request with this id, if it has one, has asked for `what` before."""
    return bool(request_id) and f"{what} {request_id}" in known


def remember(known: list[str], what: str, request_id: str) -> None:
    """Add to `known`, a part of the state: for appliers only."""
    if request_id:
        known.append(f"{what} {request_id}")
        del known[:-KNOWN_MAX]
