"""The SQL of the PostgreSQL store: each call is one statement, so one round trip and one transaction.

Rows go in as one array a column. The settings of the session and the shape of the statements (probes inside LATERAL …
LIMIT, the order of an index) leave the planner one way to run them. Plans are cached, and a plan that was made while a
table was empty must still be right when the table holds millions of rows.
"""

from functools import cache
from typing import Any

from perdure.core.execution.key import ExecutionKey
from perdure.core.visibility.filters import Filter, statuses_only
from perdure.store.filter_sql import group_expression, selected
from perdure.store.port import (
    DELETED,
    NEVER_NS,
    ExecutionRow,
    JournalRow,
    OutboxRow,
    VisibilityRow,
)
from perdure.store.postgres.filters import DIALECT
from perdure.store.visibility_rows import COLUMNS, WRITTEN

#: Settings of every session of the store.
SESSION = {
    # The fence relies on locks, and on reads after the wait for a lock.
    "default_transaction_isolation": "'read committed'",
    "default_transaction_read_only": "off",
    "statement_timeout": "'10s'",
    # A node that vanished must not keep its locks, or nobody could claim its ranges.
    "idle_in_transaction_session_timeout": "'10s'",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # See the module's docstring.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
#: A durable commit is on the disk. A stronger setting of the operator stays.
DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)
OPENING = "".join(f"SET {name} = {value}; " for name, value in SESSION.items()) + DURABLE

_TYPES = {str: "text", int: "bigint", bytes: "bytea"}
EXECUTION = ", ".join(ExecutionRow._fields)
JOURNAL = ", ".join(JournalRow._fields)
_KEY = ", ".join(ExecutionKey._fields)
_RUN_IDS = ExecutionKey._fields.index("run_id")
_IDENTITY = f"{_KEY}, run_number"
_STATE = ("status", "due_at_ns", "snapshot", "snapshot_seq")
UPDATE_TYPES = {"shard_key": int, "run_id": str} | {
    name: ExecutionRow.__annotations__[name] for name in _STATE
}
#: All columns but the position, which the database chooses.
_NEW_VISIBILITY = ", ".join(
    "nullif(new.attributes, '')::jsonb" if name == "attributes" else f"new.{name}"
    for name in VisibilityRow._fields
)
OUTBOX_TYPES = {
    name: kind for name, kind in OutboxRow.__annotations__.items() if name != "position"
}
LEASE_TYPES = {"lo": int, "hi": int, "owner": str, "epoch": int}


def _arrays(alias: str, types: dict[str, type], first: int) -> str:
    """Return the FROM item whose rows come in as the arrays $first, $first+1 …"""
    arrays = ", ".join(
        f"${number}::{_TYPES[kind]}[]" for number, kind in enumerate(types.values(), first)
    )
    return f"unnest({arrays}) AS {alias} ({', '.join(types)})"


def _replace(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} = EXCLUDED.{name}" for name in names)


# Leases

# A lock that had to wait reads the row again, so a claim and a commit always see one another. Locks are taken in one
# order. A commit's lock leaves a renewal free, which changes no key.
_HELD = (
    "held AS MATERIALIZED (SELECT ranges.lo FROM ranges, "
    + _arrays("lease", LEASE_TYPES, 1)
    + " WHERE (ranges.lo, ranges.hi, ranges.owner, ranges.epoch)"
    " = (lease.lo, lease.hi, lease.owner, lease.epoch) ORDER BY ranges.lo FOR {lock} OF ranges)"
)
_LEASE_ARGUMENTS_COUNT = len(LEASE_TYPES)
_FENCE = (
    f"WITH {_HELD.format(lock='KEY SHARE')}, fence AS MATERIALIZED"
    " (SELECT count(*) = cardinality($1::bigint[]) AS holds FROM held)"
)
_HOLDS = "(SELECT holds FROM fence)"
_TTL = "clock_timestamp() + $%d::bigint * interval '1 microsecond'"

CLAIM = (
    "WITH free AS MATERIALIZED (SELECT lo FROM ranges"
    " WHERE owner IN ('', $1) OR expires_at <= clock_timestamp() ORDER BY lo FOR UPDATE)"
    f" UPDATE ranges SET owner = $1, epoch = epoch + 1, expires_at = {_TTL % 2}"
    " FROM free WHERE ranges.lo = free.lo RETURNING ranges.lo, hi, owner, epoch"
)
RENEW = (
    f"WITH {_HELD.format(lock='NO KEY UPDATE')}, renewed AS ("
    f"UPDATE ranges SET expires_at = {_TTL % 5} FROM held WHERE ranges.lo = held.lo"
    " AND (SELECT count(*) FROM held) = cardinality($1::bigint[]) RETURNING 1)"
    " SELECT count(*) = cardinality($1::bigint[]) FROM renewed"
)
RELEASE = (
    f"WITH {_HELD.format(lock='UPDATE')}"
    " UPDATE ranges SET owner = '', expires_at = '-infinity' FROM held WHERE ranges.lo = held.lo"
)


# The journal


@cache
def commit(
    *,
    executions: bool,
    journal: bool,
    updates: bool,
    visibility: bool,
    deletes: bool,
    outbox: bool = False,
) -> str:
    """Return the statement that writes these parts of a batch if all leases are held. Its one value says if they were.

    Its arguments are the columns of the leases, then the columns of each part.
    """
    parts, is_kept = [], ""
    first = _LEASE_ARGUMENTS_COUNT + 1
    if executions:
        types = ExecutionRow.__annotations__
        parts.append(
            f"begun AS (INSERT INTO executions ({EXECUTION})"
            f" SELECT new.* FROM {_arrays('new', types, first)} WHERE {_HOLDS})"
        )
        first += len(types)
    if journal:
        types = JournalRow.__annotations__
        parts.append(
            f"written AS (INSERT INTO journal ({JOURNAL})"
            f" SELECT new.* FROM {_arrays('new', types, first)} WHERE {_HOLDS})"
        )
        first += len(types)
    if updates:
        # With an UPDATE that joins, the planner could choose to read the whole table instead of some rows.
        state = ", ".join(f"new.{name}" for name in _STATE)
        parts.append(
            f"moved AS (INSERT INTO executions ({_IDENTITY}, {', '.join(_STATE)})"
            f" SELECT old.*, {state} FROM {_arrays('new', UPDATE_TYPES, first)}"
            f" CROSS JOIN LATERAL (SELECT {_IDENTITY} FROM executions AS old WHERE old.shard_key = new.shard_key"
            f" AND old.run_id = new.run_id LIMIT 1) AS old WHERE {_HOLDS}"
            f" ON CONFLICT (shard_key, run_id) DO UPDATE SET {_replace(_STATE)})"
        )
        first += len(UPDATE_TYPES)
    if visibility:
        types = VisibilityRow.__annotations__
        parts.append(
            f"shown AS (INSERT INTO visibility ({WRITTEN}) SELECT {_NEW_VISIBILITY}"
            f" FROM {_arrays('new', types, first)} WHERE {_HOLDS}"
            f" ON CONFLICT (run_id) DO UPDATE SET {_replace(VisibilityRow._fields)})"
        )
        first += len(types)
    if deletes:
        parts += _deletes(first)
        is_kept = (
            f" AND run_id <> ALL(${first + _RUN_IDS}::text[])"  # `deletes` deletes these rows.
        )
        first += len(ExecutionKey._fields)
    if outbox:
        # The order of the arrays is that of the positions.
        parts.append(
            f"waiting AS (INSERT INTO visibility_outbox ({', '.join(OUTBOX_TYPES)})"
            f" SELECT new.* FROM {_arrays('new', OUTBOX_TYPES, first)} WHERE {_HOLDS})"
        )
        parts.append(
            f"moved_out AS (DELETE FROM visibility WHERE run_id = ANY(${first}::text[]){is_kept} AND {_HOLDS})"
        )
    return f"{', '.join([_FENCE, *parts])} SELECT {_HOLDS}"


def _deletes(first: int) -> list[str]:
    """Return the parts that delete the runs whose keys are the arrays $first, $first+1 …

    Arrays name the rows to delete, and no join does: so the planner must use the index.
    """
    shard_keys, run_ids = f"${first}::bigint[]", f"${first + _RUN_IDS}::text[]"
    place = (
        "FROM executions AS run WHERE run.shard_key = place.shard_key"
        " AND run.archetype = place.archetype AND run.namespace_id = place.namespace_id"
        " AND run.business_id = place.business_id"
    )
    row = f"shard_key = ANY({shard_keys}) AND run_id = ANY({{ids}}) AND {_HOLDS}"
    dead = (
        f"{run_ids} || ARRAY(SELECT other.run_id FROM places AS place"
        f" CROSS JOIN LATERAL (SELECT run.run_id {place} OFFSET 0) AS other WHERE NOT place.is_used)"
    )
    return [
        # Whether a run is left of each business id, and which run has the largest number.
        "places AS MATERIALIZED (SELECT place.*,"
        f" EXISTS (SELECT 1 {place} AND run.status <> {DELETED} AND run.run_id <> ALL({run_ids})) AS is_used,"
        f" (SELECT run.run_id {place} ORDER BY run.run_number DESC LIMIT 1) AS latest"
        " FROM (SELECT DISTINCT shard_key, archetype, namespace_id, business_id"
        f" FROM {_arrays('key', ExecutionKey.__annotations__, first)}) AS place)",
        f"marked AS (INSERT INTO executions ({_IDENTITY}, {', '.join(_STATE)})"
        f" SELECT old.*, {DELETED}, {NEVER_NS}, ''::bytea, 0 FROM places AS place CROSS JOIN LATERAL"
        f" (SELECT {_IDENTITY} FROM executions AS old WHERE old.shard_key = place.shard_key"
        f" AND old.run_id = place.latest LIMIT 1) AS old WHERE {_HOLDS} AND place.is_used"
        f" AND place.latest = ANY({run_ids})"
        f" ON CONFLICT (shard_key, run_id) DO UPDATE SET {_replace(_STATE)} RETURNING run_id)",
        f"removed AS (DELETE FROM executions WHERE {row.format(ids=dead)}"
        " AND run_id <> ALL(ARRAY(SELECT run_id FROM marked)))",
        f"forgotten AS (DELETE FROM journal WHERE {row.format(ids=run_ids)})",
        f"hidden AS (DELETE FROM visibility WHERE run_id = ANY({run_ids}) AND {_HOLDS})",
    ]


#: One row for each key that has a run: its position, the run, and an array for each column of the later journal rows.
LOAD = (
    "SELECT key.position, run.*, journal.* FROM"
    " unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[])"
    f" WITH ORDINALITY AS key ({_KEY}, position)"
    " CROSS JOIN LATERAL ("
    f"(SELECT {EXECUTION} FROM executions AS named WHERE key.run_id <> ''"
    " AND named.shard_key = key.shard_key AND named.run_id = key.run_id"
    " AND named.archetype = key.archetype AND named.namespace_id = key.namespace_id"
    " AND named.business_id = key.business_id LIMIT 1)"
    f" UNION ALL (SELECT {EXECUTION} FROM executions AS latest WHERE key.run_id = ''"
    " AND latest.shard_key = key.shard_key AND latest.archetype = key.archetype"
    " AND latest.namespace_id = key.namespace_id AND latest.business_id = key.business_id"
    " ORDER BY run_number DESC LIMIT 1)) AS run"
    " CROSS JOIN LATERAL (SELECT array_agg(seq), array_agg(first_event_id), array_agg(event_count),"
    " array_agg(events), array_agg(internal) FROM (SELECT * FROM journal WHERE journal.shard_key = run.shard_key"
    " AND journal.run_id = run.run_id AND journal.seq > run.snapshot_seq ORDER BY journal.seq) AS later) AS journal"
)

DUE = (
    f"SELECT due_at_ns, {_KEY} FROM executions WHERE shard_key >= $1 AND shard_key < $2"
    f" AND (due_at_ns, run_id) > ($3, $4) AND due_at_ns <= $5 AND due_at_ns < {NEVER_NS}"
    " ORDER BY due_at_ns, run_id LIMIT $6"
)


def _bounded(columns: str, rows: str, order: str, size: str, condition: str) -> str:
    """Return the rows of a statement that meet `condition`: it may ask for `bytes_before`, the size of those before.

    The database knows the size of a value that is stored out of line without reading it. The rows are in order already.
    """
    return (
        f"SELECT {columns} FROM (SELECT *, sum({size}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING)"
        f" - {size} AS bytes_before FROM ({rows}) AS page) AS sized"
        f" WHERE {condition} ORDER BY {order}"
    )


@cache
def history(*, reverse: bool, with_internal: bool) -> str:
    """Return the statement for a page of history; its arguments are those of `Store.history`."""
    comparison, order = ("<", "DESC") if reverse else (">", "ASC")
    until = "first_event_id + event_count > $6" if reverse else "first_event_id <= $6"
    place = f"shard_key {order}, run_id {order}, seq {order}"
    columns = "shard_key, run_id, seq, first_event_id, event_count, events, internal"
    read = columns if with_internal else columns.replace("internal", "''::bytea AS internal")
    rows = (
        f"SELECT {read} FROM journal WHERE shard_key = $1 AND run_id = $2"
        f" AND seq {comparison} $3 AND event_count > 0 ORDER BY {place} LIMIT $4"
    )
    condition = f"bytes_before < $5::bigint AND {until}::bigint"
    return _bounded(columns, rows, place, "octet_length(events)", condition)


# Visibility

_IN_NO_DIVISION = "attributes ->> 'TemporalNamespaceDivision' IS NULL"
_LIST_BYTES = "(octet_length(memo) + octet_length(search_attributes))"
_LIST_ORDER = "close_time_ns DESC, start_time_ns DESC, run_id DESC"


def _list(after: str) -> str:
    order = f"namespace_id DESC, archetype DESC, {_LIST_ORDER}"
    rows = (
        f"SELECT {COLUMNS} FROM visibility WHERE namespace_id = $1 AND archetype = $2"
        f" AND {_IN_NO_DIVISION}{after} ORDER BY {order} LIMIT $3"
    )
    return _bounded(COLUMNS, rows, order, _LIST_BYTES, "bytes_before < $4::bigint")


LIST = _list("")
LIST_AFTER = _list(" AND (close_time_ns, start_time_ns, run_id) < ($5, $6, $7)")
UNINDEXED = (
    f"SELECT {COLUMNS} FROM visibility WHERE attributes = '0'::jsonb AND run_id > $2"
    " ORDER BY run_id LIMIT $1"
)
STORED = f"SELECT {COLUMNS} FROM visibility WHERE run_id > $2 ORDER BY run_id LIMIT $1"
OUTBOX = f"SELECT {', '.join(OutboxRow._fields)} FROM visibility_outbox ORDER BY position LIMIT $1"
OUTBOX_SIZE = (
    "SELECT count(*),"
    " coalesce((SELECT written_at_ns FROM visibility_outbox ORDER BY position LIMIT 1), 0)"
    " FROM visibility_outbox"
)
TRIM_OUTBOX = "DELETE FROM visibility_outbox WHERE position = ANY($1::bigint[])"
#: Settings for filters, in one transaction: the planner must see the values to find the short way.
EXPLORING = (
    "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_sort = on;"
    " SET LOCAL enable_bitmapscan = on; SET LOCAL enable_hashjoin = on"
)


def filtered_list(
    namespace_id: str, filter: Filter, limit: int, after: Any, bytes_max: int
) -> tuple[str, list[Any]]:
    arguments: list[Any] = [namespace_id]
    sql = (
        f"SELECT {COLUMNS} FROM visibility WHERE namespace_id = $1"
        f" AND {selected(filter, filter.condition, DIALECT, arguments)}"
    )
    if after is not None:
        first = len(arguments)
        sql += (
            " AND (close_time_ns, start_time_ns, run_id)"
            f" < (${first + 1}::bigint, ${first + 2}::bigint, ${first + 3}::text)"
        )
        arguments += after
    arguments += [limit, bytes_max]
    sql += f" ORDER BY {_LIST_ORDER} LIMIT ${len(arguments) - 1}"
    bound = f"bytes_before < ${len(arguments)}::bigint"
    return _bounded(COLUMNS, sql, _LIST_ORDER, _LIST_BYTES, bound), arguments


def count(namespace_id: str, filter: Filter) -> tuple[str, list[Any]]:
    """Return a statement for one count, or for rows of a value and its count with `group_by`."""
    arguments: list[Any] = [namespace_id]
    value, clauses = "", ""
    if filter.group_by is not None:
        value = f"{group_expression(filter.group_by, DIALECT)} AS value,"
        clauses = "GROUP BY 1 ORDER BY 1"
    statuses = statuses_only(filter)
    if statuses is not None:
        table, counted, wanted = "visibility_counts", "sum(runs)::bigint", statuses
    else:
        table, counted, wanted = "visibility", "count(*)", filter.condition
    sql = (
        f"SELECT {value} {counted} FROM {table} WHERE namespace_id = $1"
        f" AND {selected(filter, wanted, DIALECT, arguments)} {clauses}"
    )
    return sql, arguments


_LISTED = "archetype, close_time_ns, start_time_ns, run_id"


def _longest_closed(condition: str) -> str:
    return (
        f"SELECT {_LISTED}, workflow_id, history_size_bytes, state_transition_count FROM visibility"
        f" WHERE namespace_id = $1 AND close_time_ns <= $2{condition}"
        f" ORDER BY namespace_id, {_LISTED} LIMIT $3"
    )


#: The first two read one archetype, the others all of them.
LONGEST_CLOSED = _longest_closed(" AND archetype = $4")
LONGEST_CLOSED_AFTER = _longest_closed(
    " AND archetype = $4 AND (close_time_ns, start_time_ns, run_id) > ($5, $6, $7)"
)
LONGEST_CLOSED_OF_ALL = _longest_closed("")
LONGEST_CLOSED_OF_ALL_AFTER = _longest_closed(f" AND ({_LISTED}) > ($4, $5, $6, $7)")

# Namespaces and the cluster

NAMESPACES = "SELECT namespace_id, name, data, version FROM namespaces"
NEW_NAMESPACE = (
    "INSERT INTO namespaces (namespace_id, name, data, version) VALUES ($1, $2, $3, $4) RETURNING 1"
)
CHANGED_NAMESPACE = (
    "UPDATE namespaces SET name = $2, data = $3, version = $4"
    " WHERE namespace_id = $1 AND version = $4 - 1 RETURNING 1"
)
DELETED_NAMESPACE = "DELETE FROM namespaces WHERE namespace_id = $1"
RUNS = (
    f"SELECT {_KEY} FROM executions"
    f" WHERE (shard_key, run_id) > ($1, $2) AND status <> {DELETED} ORDER BY shard_key, run_id LIMIT $3"
)
EXTERNAL_VISIBILITY = "SELECT external_visibility FROM cluster"
SET_EXTERNAL_VISIBILITY = "UPDATE cluster SET external_visibility = $1"
CLUSTER_ID = (
    "INSERT INTO cluster (id, cluster_id) VALUES (1, $1)"
    " ON CONFLICT (id) DO UPDATE SET cluster_id = cluster.cluster_id RETURNING cluster_id"
)
