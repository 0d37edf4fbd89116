"""Keys of dynamic configuration: those that have an effect here, and those that only the real server knows.

The server warns an operator about a key without effect. The code that reads a key does not look here.
"""

from importlib.resources import files

from perdure.frontend import rate_limits
from perdure.frontend.namespaces import rules
from perdure.runtime import limits
from perdure.runtime.maintenance import retention

#: Hosts that browsers may call the HTTP API by.
HTTP_HOSTS = "frontend.httpAllowedHosts"
#: If true, the trailers of each gRPC answer name the workflow that the call was about. Read when a server starts.
TRAILERS = "frontend.contextMetadataSetTrailer"


def _honoured() -> frozenset[str]:
    keys = {
        *limits.PER_NAMESPACE.values(),
        *limits.GLOBAL.values(),
        *limits.RETRIES.values(),
        *(limits.CALLBACK_ADDRESSES, limits.CIRCUIT_BREAKER),
        *(limits.TASK_POLL, limits.QUERY_WINDOW, limits.FAIRNESS, limits.FAIRNESS_WEIGHTS),
        *rules.KEYS,
        *retention.KEYS,
        *rate_limits.COUNT_KEYS,
        rate_limits.OPERATOR_RATIO,
        HTTP_HOSTS,
        TRAILERS,
    }
    for of_class in rate_limits.KEYS.values():
        keys |= {*of_class.host, *of_class.namespace, of_class.burst_ratio}
    return frozenset(key.lower() for key in keys)


#: The keys that have an effect, in lower case.
HONOURED = _honoured()


def without_effect() -> frozenset[str]:
    """Return the keys, in lower case, that have an effect in the real server and none here."""
    text = files(__package__).joinpath("dynamic_config_keys.txt").read_text()
    return frozenset(text.lower().split()) - HONOURED
