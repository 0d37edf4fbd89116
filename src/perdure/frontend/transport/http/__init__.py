"""The HTTP JSON API: the RPCs of gRPC at the paths that the `google.api.http` annotations of the API give them.

routes.py      finds the RPC for a method and a path
json_text.py   reads and writes JSON as Go does
protojson.py   messages as JSON
well_known.py  times, durations and other messages with a JSON form of their own
payloads.py    the shorthand, in which a payload is the value that it holds
metadata.py    the headers that a handler sees
parameters.py  query parameters as fields of a request
api.py         turns an HTTP request into a call, and its answer into a response
openapi.py     the document that describes the API
server.py      connections: sockets, with HTTP/1.1 by h11
"""
