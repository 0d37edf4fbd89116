-- What filters compare of a run's search attributes, and indexes for the filters that people use. See docs/visibility.md.

-- NULL: none. 0: not known yet, for the server works it out from search_attributes when it starts.
ALTER TABLE visibility ADD COLUMN attributes jsonb;
UPDATE visibility SET attributes = '0' WHERE search_attributes <> ''::bytea;
CREATE INDEX visibility_unindexed ON visibility (run_id) WHERE attributes = '0'::jsonb;

-- A list without a filter is in the order of visibility_listed. Each of these is in that order, too, among rows with
-- one value, and leaves out the rows that lists leave out: so a count need not look at the rows themselves.
CREATE INDEX visibility_by_workflow ON visibility (namespace_id, workflow_id, close_time_ns, start_time_ns, run_id);
CREATE INDEX visibility_by_type ON visibility (namespace_id, workflow_type, close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL;
CREATE INDEX visibility_by_status ON visibility (namespace_id, status, close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL;
-- Among those that are not running: a list that wants none of them must not go past all of them first.
CREATE INDEX visibility_not_running ON visibility (namespace_id, close_time_ns, start_time_ns, run_id)
    WHERE status <> 1::bigint AND attributes ->> 'TemporalNamespaceDivision' IS NULL;
CREATE INDEX visibility_by_queue ON visibility (namespace_id, task_queue, close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL;
CREATE INDEX visibility_by_start ON visibility (namespace_id, start_time_ns)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL;
CREATE INDEX visibility_by_parent ON visibility (namespace_id, parent_workflow_id, close_time_ns, start_time_ns, run_id)
    WHERE parent_workflow_id <> '';
-- Without it the planner takes it for granted that few rows are in no division.
CREATE STATISTICS visibility_divisions ON (attributes ->> 'TemporalNamespaceDivision') FROM visibility;

-- Search attributes: a row is in the index of an attribute only if it has it.
CREATE INDEX visibility_by_keyword_01
    ON visibility (namespace_id, ((attributes ->> 'Keyword01') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword01' IS NOT NULL;
CREATE INDEX visibility_by_keyword_02
    ON visibility (namespace_id, ((attributes ->> 'Keyword02') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword02' IS NOT NULL;
CREATE INDEX visibility_by_keyword_03
    ON visibility (namespace_id, ((attributes ->> 'Keyword03') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword03' IS NOT NULL;
CREATE INDEX visibility_by_keyword_04
    ON visibility (namespace_id, ((attributes ->> 'Keyword04') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword04' IS NOT NULL;
CREATE INDEX visibility_by_keyword_05
    ON visibility (namespace_id, ((attributes ->> 'Keyword05') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword05' IS NOT NULL;
CREATE INDEX visibility_by_keyword_06
    ON visibility (namespace_id, ((attributes ->> 'Keyword06') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword06' IS NOT NULL;
CREATE INDEX visibility_by_keyword_07
    ON visibility (namespace_id, ((attributes ->> 'Keyword07') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword07' IS NOT NULL;
CREATE INDEX visibility_by_keyword_08
    ON visibility (namespace_id, ((attributes ->> 'Keyword08') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword08' IS NOT NULL;
CREATE INDEX visibility_by_keyword_09
    ON visibility (namespace_id, ((attributes ->> 'Keyword09') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword09' IS NOT NULL;
CREATE INDEX visibility_by_keyword_10
    ON visibility (namespace_id, ((attributes ->> 'Keyword10') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Keyword10' IS NOT NULL;
CREATE INDEX visibility_by_datetime_01
    ON visibility (namespace_id, ((attributes ->> 'Datetime01')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Datetime01' IS NOT NULL;
CREATE INDEX visibility_by_datetime_02
    ON visibility (namespace_id, ((attributes ->> 'Datetime02')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Datetime02' IS NOT NULL;
CREATE INDEX visibility_by_datetime_03
    ON visibility (namespace_id, ((attributes ->> 'Datetime03')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Datetime03' IS NOT NULL;
CREATE INDEX visibility_by_double_01
    ON visibility (namespace_id, ((attributes ->> 'Double01')::double precision), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Double01' IS NOT NULL;
CREATE INDEX visibility_by_double_02
    ON visibility (namespace_id, ((attributes ->> 'Double02')::double precision), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Double02' IS NOT NULL;
CREATE INDEX visibility_by_double_03
    ON visibility (namespace_id, ((attributes ->> 'Double03')::double precision), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Double03' IS NOT NULL;
CREATE INDEX visibility_by_int_01
    ON visibility (namespace_id, ((attributes ->> 'Int01')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Int01' IS NOT NULL;
CREATE INDEX visibility_by_int_02
    ON visibility (namespace_id, ((attributes ->> 'Int02')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Int02' IS NOT NULL;
CREATE INDEX visibility_by_int_03
    ON visibility (namespace_id, ((attributes ->> 'Int03')::bigint), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'Int03' IS NOT NULL;
CREATE INDEX visibility_by_temporal_scheduled_by_id
    ON visibility (namespace_id, ((attributes ->> 'TemporalScheduledById') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalScheduledById' IS NOT NULL;
CREATE INDEX visibility_by_temporal_namespace_division
    ON visibility (namespace_id, ((attributes ->> 'TemporalNamespaceDivision') COLLATE "C"), close_time_ns, start_time_ns, run_id)
    WHERE attributes ->> 'TemporalNamespaceDivision' IS NOT NULL;
-- Of an index that leaves rows out the planner does not take how many there are of a value: without these it guesses that
-- a third of all rows are in any range, and looks for the rare ones in all.
CREATE STATISTICS visibility_values_keyword_01 ON ((attributes ->> 'Keyword01') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_02 ON ((attributes ->> 'Keyword02') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_03 ON ((attributes ->> 'Keyword03') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_04 ON ((attributes ->> 'Keyword04') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_05 ON ((attributes ->> 'Keyword05') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_06 ON ((attributes ->> 'Keyword06') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_07 ON ((attributes ->> 'Keyword07') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_08 ON ((attributes ->> 'Keyword08') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_09 ON ((attributes ->> 'Keyword09') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_keyword_10 ON ((attributes ->> 'Keyword10') COLLATE "C") FROM visibility;
CREATE STATISTICS visibility_values_datetime_01 ON ((attributes ->> 'Datetime01')::bigint) FROM visibility;
CREATE STATISTICS visibility_values_datetime_02 ON ((attributes ->> 'Datetime02')::bigint) FROM visibility;
CREATE STATISTICS visibility_values_datetime_03 ON ((attributes ->> 'Datetime03')::bigint) FROM visibility;
CREATE STATISTICS visibility_values_double_01 ON ((attributes ->> 'Double01')::double precision) FROM visibility;
CREATE STATISTICS visibility_values_double_02 ON ((attributes ->> 'Double02')::double precision) FROM visibility;
CREATE STATISTICS visibility_values_double_03 ON ((attributes ->> 'Double03')::double precision) FROM visibility;
CREATE STATISTICS visibility_values_int_01 ON ((attributes ->> 'Int01')::bigint) FROM visibility;
CREATE STATISTICS visibility_values_int_02 ON ((attributes ->> 'Int02')::bigint) FROM visibility;
CREATE STATISTICS visibility_values_int_03 ON ((attributes ->> 'Int03')::bigint) FROM visibility;
CREATE STATISTICS visibility_values_temporal_scheduled_by_id ON ((attributes ->> 'TemporalScheduledById') COLLATE "C") FROM visibility;
-- Lists of keywords, all in one. (Every run that a worker has seen has BuildIds: those are not looked up by it.)
CREATE INDEX visibility_by_keywords ON visibility USING gin (attributes jsonb_path_ops)
    WHERE attributes ?| ARRAY['KeywordList01', 'KeywordList02', 'KeywordList03', 'TemporalChangeVersion',
        'TemporalPauseInfo', 'TemporalReportedProblems'];

-- How many runs of each status a list without a filter shows. Written by triggers, with the rows: what is committed is
-- right. Each connection adds to rows of its own, or nearly so, and the lock keeps those that share one in turn.
CREATE TABLE visibility_counts (
    namespace_id text COLLATE "C" NOT NULL,
    status integer NOT NULL,
    slot integer NOT NULL,
    runs bigint NOT NULL,
    PRIMARY KEY (namespace_id, status, slot)
) WITH (fillfactor = 50);
INSERT INTO visibility_counts SELECT namespace_id, status, 0, count(*) FROM visibility GROUP BY 1, 2;

CREATE FUNCTION visibility_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    my_slot integer := pg_backend_pid() % 16;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM added) THEN
            RETURN NULL;
        END IF;
        PERFORM pg_advisory_xact_lock(1885696614, my_slot);
        INSERT INTO visibility_counts AS kept
            SELECT namespace_id, status, my_slot, count(*) FROM added
            WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL GROUP BY 1, 2
            ON CONFLICT (namespace_id, status, slot) DO UPDATE SET runs = kept.runs + EXCLUDED.runs;
    ELSIF NOT EXISTS (SELECT FROM removed) THEN
        RETURN NULL;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM pg_advisory_xact_lock(1885696614, my_slot);
        INSERT INTO visibility_counts AS kept
            SELECT namespace_id, status, my_slot, -count(*) FROM removed
            WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL GROUP BY 1, 2
            ON CONFLICT (namespace_id, status, slot) DO UPDATE SET runs = kept.runs + EXCLUDED.runs;
    ELSE
        PERFORM pg_advisory_xact_lock(1885696614, my_slot);
        INSERT INTO visibility_counts AS kept
            SELECT namespace_id, status, my_slot, sum(change)::bigint FROM (
                SELECT namespace_id, status, 1 AS change FROM added
                WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL
                UNION ALL
                SELECT namespace_id, status, -1 FROM removed
                WHERE attributes ->> 'TemporalNamespaceDivision' IS NULL
            ) AS changes GROUP BY 1, 2 HAVING sum(change) <> 0
            ON CONFLICT (namespace_id, status, slot) DO UPDATE SET runs = kept.runs + EXCLUDED.runs;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER visibility_added AFTER INSERT ON visibility
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION visibility_counted();
CREATE TRIGGER visibility_changed AFTER UPDATE ON visibility
    REFERENCING NEW TABLE AS added OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION visibility_counted();
CREATE TRIGGER visibility_removed AFTER DELETE ON visibility
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION visibility_counted();
