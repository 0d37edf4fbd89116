"""The API as clients see it: bytes become requests, handlers check and answer them, refusals become statuses.

transport/       gRPC, HTTP and the metrics page
dispatch.py      the front door: answers every call, whichever protocol it comes by
call.py          a call under way
call_metrics.py  measures calls
registry.py      every RPC that is answered, with its handler
context.py       all handlers share it

A room has the handlers of one kind of calls, each with its validation beside it:

workflows/   activities/   tasks/   deployments/   namespaces/   visibility/   system/

Several rooms share:

validation/             checks of fields that many requests have
tokens.py               task tokens and page tokens
protobuf_wire.py        messages put together from serialized parts
client_versions.py      which versions of clients work with this server
rate_limits.py          how many calls a second are answered
admission.py            no new work while there is too much
dynamic_config_keys.py  which keys of dynamic configuration have an effect
"""
