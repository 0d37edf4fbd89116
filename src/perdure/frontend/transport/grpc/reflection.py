"""grpc.reflection, v1 and v1alpha: which services there are and how they look, for tools such as grpcurl."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError

from perdure.core.errors import Code
from perdure.frontend.transport.grpc.described import POOL, add_file, message
from perdure.frontend.transport.http2.messages import CallRefused

PACKAGES = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
SERVICES = tuple(f"{package}.ServerReflection" for package in PACKAGES)

for _package in PACKAGES:
    add_file(
        f"{_package.replace('.', '/')}/reflection.proto",
        _package,
        {
            "ServerReflectionRequest": [
                "string host 1",
                "oneof string file_by_filename 3",
                "oneof string file_containing_symbol 4",
                "oneof ExtensionRequest file_containing_extension 5",
                "oneof string all_extension_numbers_of_type 6",
                "oneof string list_services 7",
            ],
            "ExtensionRequest": ["string containing_type 1", "int32 extension_number 2"],
            "ServerReflectionResponse": [
                "string valid_host 1",
                "ServerReflectionRequest original_request 2",
                "oneof FileDescriptorResponse file_descriptor_response 4",
                "oneof ExtensionNumberResponse all_extension_numbers_response 5",
                "oneof ListServiceResponse list_services_response 6",
                "oneof ErrorResponse error_response 7",
            ],
            "FileDescriptorResponse": ["repeated bytes file_descriptor_proto 1"],
            "ExtensionNumberResponse": [
                "string base_type_name 1",
                "repeated int32 extension_number 2",
            ],
            "ListServiceResponse": ["repeated ServiceResponse service 1"],
            "ServiceResponse": ["string name 1"],
            "ErrorResponse": ["int32 error_code 1", "string error_message 2"],
        },
        "ServerReflection",
        [
            "ServerReflectionInfo stream ServerReflectionRequest stream ServerReflectionResponse",
        ],
    )


class Reflection:
    """The service in one of its versions."""

    def __init__(self, package: str, services: Iterable[str]) -> None:
        self.path = f"/{package}.ServerReflection/ServerReflectionInfo"
        self._services = sorted(services)
        self._request = message(f"{package}.ServerReflectionRequest")
        self._response = message(f"{package}.ServerReflectionResponse")

    async def answer(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield an answer to each request. Raises `CallRefused`."""
        async for encoded in requests:
            try:
                request = self._request.FromString(encoded)
            except DecodeError:
                raise CallRefused(Code.INTERNAL, "cannot decode the request") from None
            yield self._answer(request).SerializeToString()

    def _answer(self, request: Any) -> Any:
        response = self._response(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("choice")
        try:
            if kind == "list_services":
                for name in self._services:
                    response.list_services_response.service.add(name=name)
            elif kind == "file_by_filename":
                _add(response, _found(lambda pool: pool.FindFileByName(request.file_by_filename)))
            elif kind == "file_containing_symbol":
                symbol = request.file_containing_symbol
                _add(response, _found(lambda pool: pool.FindFileContainingSymbol(symbol)))
            elif kind == "file_containing_extension":
                wanted = request.file_containing_extension
                _add(response, _extension(wanted.containing_type, wanted.extension_number).file)
            elif kind == "all_extension_numbers_of_type":
                name = request.all_extension_numbers_of_type
                numbers = response.all_extension_numbers_response
                numbers.base_type_name = name
                kind_of_message = Default().FindMessageTypeByName(name)
                found = Default().FindAllExtensions(kind_of_message)
                numbers.extension_number.extend(sorted(each.number for each in found))
            else:
                response.error_response.error_code = Code.INVALID_ARGUMENT
                response.error_response.error_message = "the request asks for nothing"
        except KeyError:
            response.error_response.error_code = Code.NOT_FOUND
            response.error_response.error_message = f"{kind}: not found"
        return response


def _found(find: Callable[[Any], FileDescriptor]) -> FileDescriptor:
    """Return a file of gRPC's services, or of the API. Raises `KeyError`."""
    try:
        return find(POOL)
    except KeyError:
        return find(Default())


def _extension(containing_type: str, number: int) -> Any:
    """Raises `KeyError`."""
    kind = Default().FindMessageTypeByName(containing_type)
    return Default().FindExtensionByNumber(kind, number)


def _add(response: Any, file: FileDescriptor) -> None:
    """Add a file and all that it imports, the file first."""
    files = response.file_descriptor_response.file_descriptor_proto
    files.extend(each.serialized_pb for each in _with_imports(file, set()))


def _with_imports(file: FileDescriptor, seen: set[str]) -> Iterator[FileDescriptor]:
    if file.name not in seen:
        seen.add(file.name)
        yield file
        for each in file.dependencies:
            yield from _with_imports(each, seen)
