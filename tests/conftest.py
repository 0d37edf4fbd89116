"""For all tests; read before any of them is imported."""

import os

# PostgreSQL's programs are started as another user, so by a true fork, beside threads that are in gRPC's hands. gRPC's own
# handlers for that crash one such child in a hundred; none of the children uses gRPC. It is looked at when gRPC is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from hypothesis import settings

# A machine that is busy with other tests is slow, and that is no fault of what is tested.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
