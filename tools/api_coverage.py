"""Writes docs/api-coverage.md: every RPC of the API, and whether perdure answers it.

The list of RPCs comes from the API's own descriptors, and "done" from the table by which the frontend dispatches calls,
so the page can be neither hopeful nor forgetful. A test fails while the page in the repository is not this text.
"""

import sys
from collections.abc import Set
from pathlib import Path

from google.protobuf.descriptor import ServiceDescriptor
from temporalio.api.operatorservice.v1 import service_pb2 as operator_service
from temporalio.api.workflowservice.v1 import service_pb2 as workflow_service

PAGE = Path(__file__).parents[1] / "docs" / "api-coverage.md"

INTRODUCTION = """\
# API coverage

Every RPC of the services that SDKs, the `temporal` CLI and the Web UI use. *Done* means that perdure answers it as the
real server does; any other answers UNIMPLEMENTED with its name.

This page is generated: `make docs`.
"""


def services() -> list[ServiceDescriptor]:
    return [
        workflow_service.DESCRIPTOR.services_by_name["WorkflowService"],
        operator_service.DESCRIPTOR.services_by_name["OperatorService"],
    ]


#: The part of an RPC that is done, where it is not done whole.
_IN_PART = dict.fromkeys(
    (
        "PauseActivityExecution",
        "ResetActivityExecution",
        "UnpauseActivityExecution",
        "UpdateActivityExecutionOptions",
    ),
    "for activities of workflows",
)


def _said(name: str) -> str:
    part = _IN_PART.get(name)
    return f"done {part}" if part else "done"


def page(implemented: Set[str]) -> str:
    """Return the page. `implemented` holds names like "/temporal.api.….WorkflowService/GetSystemInfo"."""
    lines = [INTRODUCTION]
    for service in services():
        names = sorted(method.name for method in service.methods)
        done = {name for name in names if f"/{service.full_name}/{name}" in implemented}
        lines.append(f"## {service.name}: {len(done)} of {len(names)}\n")
        lines.append("| RPC | |\n| --- | --- |")
        lines.extend(f"| {name} | {_said(name) if name in done else ''} |" for name in names)
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    from perdure.frontend.registry import implemented

    text = page(implemented())
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text)
        return 0
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
