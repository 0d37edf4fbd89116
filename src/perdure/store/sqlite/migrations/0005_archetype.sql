-- Executions of every archetype (0: workflow) in the tables that had workflows alone.

ALTER TABLE executions RENAME COLUMN workflow_id TO business_id;
ALTER TABLE executions ADD COLUMN archetype INTEGER NOT NULL DEFAULT 0;
DROP INDEX executions_by_workflow;
CREATE UNIQUE INDEX executions_by_business_id ON executions (namespace_id, archetype, business_id, run_number);

-- A list shows one archetype. Every index has it after the namespace, so a list passes no rows of other archetypes.
ALTER TABLE visibility ADD COLUMN archetype INTEGER NOT NULL DEFAULT 0;
DROP INDEX visibility_listed;
CREATE INDEX visibility_listed ON visibility (namespace_id, archetype, close_time_ns, start_time_ns, run_id);
DROP INDEX visibility_by_workflow;
CREATE INDEX visibility_by_workflow ON visibility (namespace_id, archetype, workflow_id, close_time_ns, start_time_ns, run_id);
DROP INDEX visibility_by_type;
CREATE INDEX visibility_by_type ON visibility (namespace_id, archetype, workflow_type, close_time_ns, start_time_ns, run_id);
DROP INDEX visibility_by_status;
CREATE INDEX visibility_by_status ON visibility (namespace_id, archetype, status, close_time_ns, start_time_ns, run_id);
DROP INDEX visibility_by_queue;
CREATE INDEX visibility_by_queue ON visibility (namespace_id, archetype, task_queue, close_time_ns, start_time_ns, run_id);
DROP INDEX visibility_by_start;
CREATE INDEX visibility_by_start ON visibility (namespace_id, archetype, start_time_ns);
DROP INDEX visibility_by_parent;
CREATE INDEX visibility_by_parent ON visibility (namespace_id, archetype, parent_workflow_id, close_time_ns, start_time_ns, run_id)
    WHERE parent_workflow_id <> '';
DROP INDEX visibility_by_keyword_01;
CREATE INDEX visibility_by_keyword_01 ON visibility (namespace_id, archetype, Keyword01, close_time_ns, start_time_ns, run_id)
    WHERE Keyword01 IS NOT NULL;
DROP INDEX visibility_by_keyword_02;
CREATE INDEX visibility_by_keyword_02 ON visibility (namespace_id, archetype, Keyword02, close_time_ns, start_time_ns, run_id)
    WHERE Keyword02 IS NOT NULL;
DROP INDEX visibility_by_keyword_03;
CREATE INDEX visibility_by_keyword_03 ON visibility (namespace_id, archetype, Keyword03, close_time_ns, start_time_ns, run_id)
    WHERE Keyword03 IS NOT NULL;
DROP INDEX visibility_by_keyword_04;
CREATE INDEX visibility_by_keyword_04 ON visibility (namespace_id, archetype, Keyword04, close_time_ns, start_time_ns, run_id)
    WHERE Keyword04 IS NOT NULL;
DROP INDEX visibility_by_keyword_05;
CREATE INDEX visibility_by_keyword_05 ON visibility (namespace_id, archetype, Keyword05, close_time_ns, start_time_ns, run_id)
    WHERE Keyword05 IS NOT NULL;
DROP INDEX visibility_by_keyword_06;
CREATE INDEX visibility_by_keyword_06 ON visibility (namespace_id, archetype, Keyword06, close_time_ns, start_time_ns, run_id)
    WHERE Keyword06 IS NOT NULL;
DROP INDEX visibility_by_keyword_07;
CREATE INDEX visibility_by_keyword_07 ON visibility (namespace_id, archetype, Keyword07, close_time_ns, start_time_ns, run_id)
    WHERE Keyword07 IS NOT NULL;
DROP INDEX visibility_by_keyword_08;
CREATE INDEX visibility_by_keyword_08 ON visibility (namespace_id, archetype, Keyword08, close_time_ns, start_time_ns, run_id)
    WHERE Keyword08 IS NOT NULL;
DROP INDEX visibility_by_keyword_09;
CREATE INDEX visibility_by_keyword_09 ON visibility (namespace_id, archetype, Keyword09, close_time_ns, start_time_ns, run_id)
    WHERE Keyword09 IS NOT NULL;
DROP INDEX visibility_by_keyword_10;
CREATE INDEX visibility_by_keyword_10 ON visibility (namespace_id, archetype, Keyword10, close_time_ns, start_time_ns, run_id)
    WHERE Keyword10 IS NOT NULL;
DROP INDEX visibility_by_datetime_01;
CREATE INDEX visibility_by_datetime_01 ON visibility (namespace_id, archetype, Datetime01, close_time_ns, start_time_ns, run_id)
    WHERE Datetime01 IS NOT NULL;
DROP INDEX visibility_by_datetime_02;
CREATE INDEX visibility_by_datetime_02 ON visibility (namespace_id, archetype, Datetime02, close_time_ns, start_time_ns, run_id)
    WHERE Datetime02 IS NOT NULL;
DROP INDEX visibility_by_datetime_03;
CREATE INDEX visibility_by_datetime_03 ON visibility (namespace_id, archetype, Datetime03, close_time_ns, start_time_ns, run_id)
    WHERE Datetime03 IS NOT NULL;
DROP INDEX visibility_by_double_01;
CREATE INDEX visibility_by_double_01 ON visibility (namespace_id, archetype, Double01, close_time_ns, start_time_ns, run_id)
    WHERE Double01 IS NOT NULL;
DROP INDEX visibility_by_double_02;
CREATE INDEX visibility_by_double_02 ON visibility (namespace_id, archetype, Double02, close_time_ns, start_time_ns, run_id)
    WHERE Double02 IS NOT NULL;
DROP INDEX visibility_by_double_03;
CREATE INDEX visibility_by_double_03 ON visibility (namespace_id, archetype, Double03, close_time_ns, start_time_ns, run_id)
    WHERE Double03 IS NOT NULL;
DROP INDEX visibility_by_int_01;
CREATE INDEX visibility_by_int_01 ON visibility (namespace_id, archetype, Int01, close_time_ns, start_time_ns, run_id)
    WHERE Int01 IS NOT NULL;
DROP INDEX visibility_by_int_02;
CREATE INDEX visibility_by_int_02 ON visibility (namespace_id, archetype, Int02, close_time_ns, start_time_ns, run_id)
    WHERE Int02 IS NOT NULL;
DROP INDEX visibility_by_int_03;
CREATE INDEX visibility_by_int_03 ON visibility (namespace_id, archetype, Int03, close_time_ns, start_time_ns, run_id)
    WHERE Int03 IS NOT NULL;
DROP INDEX visibility_by_temporal_scheduled_by_id;
CREATE INDEX visibility_by_temporal_scheduled_by_id ON visibility (namespace_id, archetype, TemporalScheduledById, close_time_ns, start_time_ns, run_id)
    WHERE TemporalScheduledById IS NOT NULL;
DROP INDEX visibility_by_temporal_namespace_division;
CREATE INDEX visibility_by_temporal_namespace_division ON visibility (namespace_id, archetype, TemporalNamespaceDivision, close_time_ns, start_time_ns, run_id)
    WHERE TemporalNamespaceDivision IS NOT NULL;

-- How many runs of each archetype and status a list without a filter shows.
DROP TRIGGER visibility_added;
DROP TRIGGER visibility_removed;
DROP TRIGGER visibility_changed;
ALTER TABLE visibility_counts RENAME TO visibility_counts_of_workflows;
CREATE TABLE visibility_counts (
    namespace_id TEXT NOT NULL,
    archetype INTEGER NOT NULL,
    status INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, archetype, status)
) WITHOUT ROWID;
INSERT INTO visibility_counts SELECT namespace_id, 0, status, runs FROM visibility_counts_of_workflows;
DROP TABLE visibility_counts_of_workflows;

CREATE TRIGGER visibility_added AFTER INSERT ON visibility WHEN NEW.TemporalNamespaceDivision IS NULL
BEGIN
    INSERT INTO visibility_counts VALUES (NEW.namespace_id, NEW.archetype, NEW.status, 1)
        ON CONFLICT (namespace_id, archetype, status) DO UPDATE SET runs = runs + 1;
END;
CREATE TRIGGER visibility_removed AFTER DELETE ON visibility WHEN OLD.TemporalNamespaceDivision IS NULL
BEGIN
    UPDATE visibility_counts SET runs = runs - 1
        WHERE namespace_id = OLD.namespace_id AND archetype = OLD.archetype AND status = OLD.status;
END;
CREATE TRIGGER visibility_changed AFTER UPDATE ON visibility
    WHEN OLD.status <> NEW.status OR OLD.namespace_id <> NEW.namespace_id OR OLD.archetype <> NEW.archetype
        OR (OLD.TemporalNamespaceDivision IS NULL) <> (NEW.TemporalNamespaceDivision IS NULL)
BEGIN
    UPDATE visibility_counts SET runs = runs - 1
        WHERE namespace_id = OLD.namespace_id AND archetype = OLD.archetype AND status = OLD.status
        AND OLD.TemporalNamespaceDivision IS NULL;
    INSERT INTO visibility_counts
        SELECT NEW.namespace_id, NEW.archetype, NEW.status, 1 WHERE NEW.TemporalNamespaceDivision IS NULL
        ON CONFLICT (namespace_id, archetype, status) DO UPDATE SET runs = runs + 1;
END;

-- Whether visibility is in a second database.
ALTER TABLE cluster RENAME COLUMN lists_elsewhere TO external_visibility;
