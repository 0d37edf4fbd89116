"""How much a client may cost us without getting anything for it."""

from perdure.frontend.transport.http2.answers import Answers
from perdure.frontend.transport.http2.frames import Breach, Fault
from perdure.frontend.transport.http2.limits import ConnectionLimits

#: Frames that come with a call and tell us nothing: clients send windows, settings and pings as they like.
_NUISANCES_OF_A_CALL = 4


class Patience:
    """Counts frames that cost us and not the client. Calls that are answered set the counts back."""

    def __init__(self, answers: Answers, limits: ConnectionLimits) -> None:
        self._answers, self._limits = answers, limits
        self._nuisances = self._cancellations = 0
        #: How many calls had been answered when each count was last looked at.
        self._calm_at = self._answered = 0

    def forgive(self) -> None:
        """Begin anew. To be called every so many seconds."""
        self._nuisances = self._cancellations = 0

    def begun(self) -> None:
        """Allow for the frames that come with a call."""
        self._nuisances -= _NUISANCES_OF_A_CALL

    def annoy(self) -> None:
        """Count a frame. Raises `Breach`."""
        answered = self._answers.answered
        if self._calm_at != answered:
            self._calm_at, self._nuisances = answered, 0
        self._nuisances = max(0, self._nuisances) + 1
        if self._nuisances > self._limits.nuisances:
            raise Breach(Fault.ENHANCE_YOUR_CALM)

    def cancelled(self) -> None:
        """Count a call that its client has cancelled. Raises `Breach`."""
        answered = self._answers.answered
        self._cancellations = max(0, self._cancellations - (answered - self._answered)) + 1
        self._answered = answered
        if self._cancellations > self._limits.cancellations:
            raise Breach(Fault.ENHANCE_YOUR_CALM)
