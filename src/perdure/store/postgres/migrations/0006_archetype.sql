-- Executions of every archetype (0: workflow) in the tables that had workflows alone.

ALTER TABLE executions RENAME COLUMN workflow_id TO business_id;
ALTER TABLE executions ADD COLUMN archetype smallint NOT NULL DEFAULT 0;
DROP INDEX executions_by_workflow;
CREATE UNIQUE INDEX executions_by_business_id
    ON executions (shard_key, namespace_id, archetype, business_id, run_number);

-- A list shows one archetype. Every index has it after the namespace, so a list passes no rows of other archetypes.
ALTER TABLE visibility ADD COLUMN archetype smallint NOT NULL DEFAULT 0;
DROP INDEX visibility_listed;
CREATE INDEX visibility_listed ON visibility (namespace_id, archetype, close_time_ns, start_time_ns, run_id);
DROP INDEX visibility_by_workflow;
CREATE INDEX visibility_by_workflow ON visibility (namespace_id, archetype, workflow_id, close_time_ns, start_time_ns, run_id);
DROP INDEX visibility_by_type;
CREATE INDEX visibility_by_type ON visibility (namespace_id, archetype, workflow_type, close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL;
DROP INDEX visibility_by_status;
CREATE INDEX visibility_by_status ON visibility (namespace_id, archetype, status, close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL;
DROP INDEX visibility_not_running;
CREATE INDEX visibility_not_running ON visibility (namespace_id, archetype, close_time_ns, start_time_ns, run_id)
    WHERE status <> 1::bigint AND attributes ->> 'TemporalNamespaceDivision' IS NULL;
DROP INDEX visibility_by_queue;
CREATE INDEX visibility_by_queue ON visibility (namespace_id, archetype, task_queue, close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL;
DROP INDEX visibility_by_start;
CREATE INDEX visibility_by_start ON visibility (namespace_id, archetype, start_time_ns)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL;
DROP INDEX visibility_by_parent;
CREATE INDEX visibility_by_parent ON visibility (namespace_id, archetype, parent_workflow_id, close_time_ns, start_time_ns, run_id)
    WHERE parent_workflow_id <> '';
DROP INDEX visibility_by_keyword_01;
CREATE INDEX visibility_by_keyword_01
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword01') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword01' IS NOT NULL;
DROP INDEX visibility_by_keyword_02;
CREATE INDEX visibility_by_keyword_02
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword02') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword02' IS NOT NULL;
DROP INDEX visibility_by_keyword_03;
CREATE INDEX visibility_by_keyword_03
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword03') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword03' IS NOT NULL;
DROP INDEX visibility_by_keyword_04;
CREATE INDEX visibility_by_keyword_04
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword04') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword04' IS NOT NULL;
DROP INDEX visibility_by_keyword_05;
CREATE INDEX visibility_by_keyword_05
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword05') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword05' IS NOT NULL;
DROP INDEX visibility_by_keyword_06;
CREATE INDEX visibility_by_keyword_06
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword06') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword06' IS NOT NULL;
DROP INDEX visibility_by_keyword_07;
CREATE INDEX visibility_by_keyword_07
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword07') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword07' IS NOT NULL;
DROP INDEX visibility_by_keyword_08;
CREATE INDEX visibility_by_keyword_08
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword08') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword08' IS NOT NULL;
DROP INDEX visibility_by_keyword_09;
CREATE INDEX visibility_by_keyword_09
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword09') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword09' IS NOT NULL;
DROP INDEX visibility_by_keyword_10;
CREATE INDEX visibility_by_keyword_10
    ON visibility (namespace_id, archetype, ((attributes ->> 'Keyword10') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword10' IS NOT NULL;
DROP INDEX visibility_by_datetime_01;
CREATE INDEX visibility_by_datetime_01
    ON visibility (namespace_id, archetype, ((attributes ->> 'Datetime01')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Datetime01' IS NOT NULL;
DROP INDEX visibility_by_datetime_02;
CREATE INDEX visibility_by_datetime_02
    ON visibility (namespace_id, archetype, ((attributes ->> 'Datetime02')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Datetime02' IS NOT NULL;
DROP INDEX visibility_by_datetime_03;
CREATE INDEX visibility_by_datetime_03
    ON visibility (namespace_id, archetype, ((attributes ->> 'Datetime03')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Datetime03' IS NOT NULL;
DROP INDEX visibility_by_double_01;
CREATE INDEX visibility_by_double_01
    ON visibility (namespace_id, archetype, ((attributes ->> 'Double01')::double precision), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Double01' IS NOT NULL;
DROP INDEX visibility_by_double_02;
CREATE INDEX visibility_by_double_02
    ON visibility (namespace_id, archetype, ((attributes ->> 'Double02')::double precision), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Double02' IS NOT NULL;
DROP INDEX visibility_by_double_03;
CREATE INDEX visibility_by_double_03
    ON visibility (namespace_id, archetype, ((attributes ->> 'Double03')::double precision), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Double03' IS NOT NULL;
DROP INDEX visibility_by_int_01;
CREATE INDEX visibility_by_int_01
    ON visibility (namespace_id, archetype, ((attributes ->> 'Int01')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Int01' IS NOT NULL;
DROP INDEX visibility_by_int_02;
CREATE INDEX visibility_by_int_02
    ON visibility (namespace_id, archetype, ((attributes ->> 'Int02')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Int02' IS NOT NULL;
DROP INDEX visibility_by_int_03;
CREATE INDEX visibility_by_int_03
    ON visibility (namespace_id, archetype, ((attributes ->> 'Int03')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Int03' IS NOT NULL;
DROP INDEX visibility_by_temporal_scheduled_by_id;
CREATE INDEX visibility_by_temporal_scheduled_by_id
    ON visibility (namespace_id, archetype, ((attributes ->> 'TemporalScheduledById') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalScheduledById' IS NOT NULL;
DROP INDEX visibility_by_temporal_namespace_division;
CREATE INDEX visibility_by_temporal_namespace_division
    ON visibility (namespace_id, archetype, ((attributes ->> 'TemporalNamespaceDivision') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NOT NULL;

-- How many runs of each archetype and status a list without a filter shows.
ALTER TABLE visibility_counts ADD COLUMN archetype smallint NOT NULL DEFAULT 0;
ALTER TABLE visibility_counts DROP CONSTRAINT visibility_counts_pkey;
ALTER TABLE visibility_counts ADD PRIMARY KEY (namespace_id, archetype, status, slot);
CREATE OR REPLACE FUNCTION visibility_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    my_slot integer := pg_backend_pid() % 16;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM added) THEN
            RETURN NULL;
        END IF;
        PERFORM pg_advisory_xact_lock(1885696614, my_slot);
        INSERT INTO visibility_counts AS kept (namespace_id, archetype, status, slot, runs)
            SELECT namespace_id, archetype, status, my_slot, count(*) FROM added
            WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL GROUP BY 1, 2, 3
            ON CONFLICT (namespace_id, archetype, status, slot) DO UPDATE SET runs = kept.runs + EXCLUDED.runs;
    ELSIF NOT EXISTS (SELECT FROM removed) THEN
        RETURN NULL;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM pg_advisory_xact_lock(1885696614, my_slot);
        INSERT INTO visibility_counts AS kept (namespace_id, archetype, status, slot, runs)
            SELECT namespace_id, archetype, status, my_slot, -count(*) FROM removed
            WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL GROUP BY 1, 2, 3
            ON CONFLICT (namespace_id, archetype, status, slot) DO UPDATE SET runs = kept.runs + EXCLUDED.runs;
    ELSE
        PERFORM pg_advisory_xact_lock(1885696614, my_slot);
        INSERT INTO visibility_counts AS kept (namespace_id, archetype, status, slot, runs)
            SELECT namespace_id, archetype, status, my_slot, sum(change)::bigint FROM (
                SELECT namespace_id, archetype, status, 1 AS change FROM added
                WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL
                UNION ALL
                SELECT namespace_id, archetype, status, -1 FROM removed
                WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL
            ) AS changes GROUP BY 1, 2, 3 HAVING sum(change) <> 0
            ON CONFLICT (namespace_id, archetype, status, slot) DO UPDATE SET runs = kept.runs + EXCLUDED.runs;
    END IF;
    RETURN NULL;
END $$;

-- Whether visibility is in a second database.
ALTER TABLE cluster RENAME COLUMN lists_elsewhere TO external_visibility;
