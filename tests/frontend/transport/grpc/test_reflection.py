"""Tools ask which services there are and how their messages look."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.reflection_pb2 import (
    ExtensionRequest,
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from tests.served import channel_to

WORKFLOW = "temporal.api.workflowservice.v1.WorkflowService"
SERVICES = {
    WORKFLOW,
    "temporal.api.operatorservice.v1.OperatorService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


@pytest.fixture(params=["v1", "v1alpha"])
async def ask(request, server):
    """Return a function that asks one question. Both versions have the same messages."""
    path = f"/grpc.reflection.{request.param}.ServerReflection/ServerReflectionInfo"
    async with channel_to(server) as channel:
        method = channel.stream_stream(
            path,
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=ServerReflectionResponse.FromString,
        )

        async def ask(**question):
            call = method()
            await call.write(ServerReflectionRequest(host="h", **question))
            answer = await call.read()
            await call.done_writing()
            assert await call.read() is not answer
            assert answer.original_request.host == "h"
            return answer

        yield ask


async def test_services(ask):
    answer = await ask(list_services="")
    assert {each.name for each in answer.list_services_response.service} == SERVICES


@pytest.mark.parametrize("symbol", sorted(SERVICES))
async def test_the_files_of_a_service_make_a_whole(ask, symbol):
    answer = await ask(file_containing_symbol=symbol)
    files = [
        FileDescriptorProto.FromString(each)
        for each in answer.file_descriptor_response.file_descriptor_proto
    ]
    pool = DescriptorPool()
    for file in reversed(_sorted(files)):
        pool.Add(file)
    assert pool.FindServiceByName(symbol).methods


def _sorted(files):
    """Return the files, each before those that it imports."""
    by_name, done = {each.name: each for each in files}, []

    def visit(file):
        for name in file.dependency:
            visit(by_name[name])
        if file not in done:
            done.append(file)

    visit(files[0])
    return done[::-1]


async def test_a_file_by_its_name(ask):
    name = "temporal/api/workflowservice/v1/service.proto"
    answer = await ask(file_by_filename=name)
    first = answer.file_descriptor_response.file_descriptor_proto[0]
    assert FileDescriptorProto.FromString(first).name == name


@pytest.mark.parametrize(
    "question",
    [
        {"file_by_filename": "nothing.proto"},
        {"file_containing_symbol": "no.Such"},
        {"file_containing_extension": ExtensionRequest(containing_type="no.Such")},
        {"all_extension_numbers_of_type": "no.Such"},
    ],
    ids=lambda question: next(iter(question)),
)
async def test_what_is_not_there(ask, question):
    assert (await ask(**question)).error_response.error_code == 5


async def test_extensions(ask):
    numbers = (
        await ask(all_extension_numbers_of_type="google.protobuf.MethodOptions")
    ).all_extension_numbers_response.extension_number
    assert 72295728 in numbers  # google.api.http
    found = await ask(
        file_containing_extension=ExtensionRequest(
            containing_type="google.protobuf.MethodOptions", extension_number=72295728
        )
    )
    assert found.file_descriptor_response.file_descriptor_proto


async def test_a_question_about_nothing(ask):
    assert (await ask()).error_response.error_code == 3
