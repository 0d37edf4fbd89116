"""The HTTP JSON API: the calls of gRPC, as the `google.api.http` annotations of the API's descriptors say.

routes.py      which call a method and a path mean
json_text.py   JSON read and written as Go does
protojson.py   messages as JSON
well_known.py  times, durations and other messages that have a JSON of their own
payloads.py    the shorthand in which payloads are the values that they hold
metadata.py    which headers a call gets to see
parameters.py  query parameters as fields of a request
api.py         a request of HTTP becomes a call, its answer a response
openapi.py     the document that describes all of it
server.py      connections: sockets, and HTTP/1.1 by h11
"""
