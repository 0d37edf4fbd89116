"""The API as clients see it: bytes become requests, handlers check and answer them, refusals become statuses.

transport/   gRPC, HTTP and the metrics page
dispatch.py  calls the handler of an RPC, and measures it
registry.py  every RPC that is answered, with its handler
call.py      what a handler knows of its call
context.py   what all handlers share

A room has the handlers of one kind of calls, each with its validation beside it:

workflows/   activities/   tasks/   deployments/   namespaces/   visibility/   system/

Several rooms share:

validation/             checks of fields that many requests have
tokens.py               task tokens and page tokens
protobuf_wire.py        messages put together from serialized parts
client_versions.py      which versions of clients work with this server
rate_limits.py          how many calls a second are answered
dynamic_config_keys.py  which keys of dynamic configuration have an effect
"""
