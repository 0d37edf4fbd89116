-- What filters compare of a run's search attributes, and indexes for the filters that people use. See docs/visibility.md.

-- NULL: none. 0: not known yet, for the server works it out from search_attributes when it starts.
ALTER TABLE visibility ADD COLUMN attributes TEXT;
UPDATE visibility SET attributes = '0' WHERE search_attributes <> x'';
CREATE INDEX visibility_unindexed ON visibility (run_id) WHERE attributes = '0';

-- Computed when they are read: only an index keeps them.
ALTER TABLE visibility ADD COLUMN TemporalScheduledById GENERATED ALWAYS AS (json_extract(attributes, '$.TemporalScheduledById')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN TemporalNamespaceDivision GENERATED ALWAYS AS (json_extract(attributes, '$.TemporalNamespaceDivision')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword01 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword01')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword02 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword02')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword03 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword03')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword04 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword04')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword05 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword05')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword06 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword06')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword07 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword07')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword08 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword08')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword09 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword09')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Keyword10 GENERATED ALWAYS AS (json_extract(attributes, '$.Keyword10')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Datetime01 GENERATED ALWAYS AS (json_extract(attributes, '$.Datetime01')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Datetime02 GENERATED ALWAYS AS (json_extract(attributes, '$.Datetime02')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Datetime03 GENERATED ALWAYS AS (json_extract(attributes, '$.Datetime03')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Double01 GENERATED ALWAYS AS (json_extract(attributes, '$.Double01')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Double02 GENERATED ALWAYS AS (json_extract(attributes, '$.Double02')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Double03 GENERATED ALWAYS AS (json_extract(attributes, '$.Double03')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Int01 GENERATED ALWAYS AS (json_extract(attributes, '$.Int01')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Int02 GENERATED ALWAYS AS (json_extract(attributes, '$.Int02')) VIRTUAL;
ALTER TABLE visibility ADD COLUMN Int03 GENERATED ALWAYS AS (json_extract(attributes, '$.Int03')) VIRTUAL;

-- A list without a filter is in the order of visibility_listed; each of these is in that order, too, among rows with one
-- value.
CREATE INDEX visibility_by_workflow ON visibility (namespace_id, workflow_id, close_time_ns, start_time_ns, run_id);
CREATE INDEX visibility_by_type ON visibility (namespace_id, workflow_type, close_time_ns, start_time_ns, run_id);
CREATE INDEX visibility_by_status ON visibility (namespace_id, status, close_time_ns, start_time_ns, run_id);
CREATE INDEX visibility_by_queue ON visibility (namespace_id, task_queue, close_time_ns, start_time_ns, run_id);
CREATE INDEX visibility_by_start ON visibility (namespace_id, start_time_ns);
CREATE INDEX visibility_by_parent ON visibility (namespace_id, parent_workflow_id, close_time_ns, start_time_ns, run_id)
    WHERE parent_workflow_id <> '';

-- Search attributes: a row is in the index of an attribute only if it has it.
CREATE INDEX visibility_by_keyword_01 ON visibility (namespace_id, Keyword01, close_time_ns, start_time_ns, run_id)
    WHERE Keyword01 IS NOT NULL;
CREATE INDEX visibility_by_keyword_02 ON visibility (namespace_id, Keyword02, close_time_ns, start_time_ns, run_id)
    WHERE Keyword02 IS NOT NULL;
CREATE INDEX visibility_by_keyword_03 ON visibility (namespace_id, Keyword03, close_time_ns, start_time_ns, run_id)
    WHERE Keyword03 IS NOT NULL;
CREATE INDEX visibility_by_keyword_04 ON visibility (namespace_id, Keyword04, close_time_ns, start_time_ns, run_id)
    WHERE Keyword04 IS NOT NULL;
CREATE INDEX visibility_by_keyword_05 ON visibility (namespace_id, Keyword05, close_time_ns, start_time_ns, run_id)
    WHERE Keyword05 IS NOT NULL;
CREATE INDEX visibility_by_keyword_06 ON visibility (namespace_id, Keyword06, close_time_ns, start_time_ns, run_id)
    WHERE Keyword06 IS NOT NULL;
CREATE INDEX visibility_by_keyword_07 ON visibility (namespace_id, Keyword07, close_time_ns, start_time_ns, run_id)
    WHERE Keyword07 IS NOT NULL;
CREATE INDEX visibility_by_keyword_08 ON visibility (namespace_id, Keyword08, close_time_ns, start_time_ns, run_id)
    WHERE Keyword08 IS NOT NULL;
CREATE INDEX visibility_by_keyword_09 ON visibility (namespace_id, Keyword09, close_time_ns, start_time_ns, run_id)
    WHERE Keyword09 IS NOT NULL;
CREATE INDEX visibility_by_keyword_10 ON visibility (namespace_id, Keyword10, close_time_ns, start_time_ns, run_id)
    WHERE Keyword10 IS NOT NULL;
CREATE INDEX visibility_by_datetime_01 ON visibility (namespace_id, Datetime01, close_time_ns, start_time_ns, run_id)
    WHERE Datetime01 IS NOT NULL;
CREATE INDEX visibility_by_datetime_02 ON visibility (namespace_id, Datetime02, close_time_ns, start_time_ns, run_id)
    WHERE Datetime02 IS NOT NULL;
CREATE INDEX visibility_by_datetime_03 ON visibility (namespace_id, Datetime03, close_time_ns, start_time_ns, run_id)
    WHERE Datetime03 IS NOT NULL;
CREATE INDEX visibility_by_double_01 ON visibility (namespace_id, Double01, close_time_ns, start_time_ns, run_id)
    WHERE Double01 IS NOT NULL;
CREATE INDEX visibility_by_double_02 ON visibility (namespace_id, Double02, close_time_ns, start_time_ns, run_id)
    WHERE Double02 IS NOT NULL;
CREATE INDEX visibility_by_double_03 ON visibility (namespace_id, Double03, close_time_ns, start_time_ns, run_id)
    WHERE Double03 IS NOT NULL;
CREATE INDEX visibility_by_int_01 ON visibility (namespace_id, Int01, close_time_ns, start_time_ns, run_id)
    WHERE Int01 IS NOT NULL;
CREATE INDEX visibility_by_int_02 ON visibility (namespace_id, Int02, close_time_ns, start_time_ns, run_id)
    WHERE Int02 IS NOT NULL;
CREATE INDEX visibility_by_int_03 ON visibility (namespace_id, Int03, close_time_ns, start_time_ns, run_id)
    WHERE Int03 IS NOT NULL;
CREATE INDEX visibility_by_temporal_scheduled_by_id ON visibility (namespace_id, TemporalScheduledById, close_time_ns, start_time_ns, run_id)
    WHERE TemporalScheduledById IS NOT NULL;
CREATE INDEX visibility_by_temporal_namespace_division ON visibility (namespace_id, TemporalNamespaceDivision, close_time_ns, start_time_ns, run_id)
    WHERE TemporalNamespaceDivision IS NOT NULL;

-- How many runs of each status a list without a filter shows.
CREATE TABLE visibility_counts (
    namespace_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, status)
) WITHOUT ROWID;
INSERT INTO visibility_counts SELECT namespace_id, status, count(*) FROM visibility GROUP BY 1, 2;

CREATE TRIGGER visibility_added AFTER INSERT ON visibility WHEN NEW.TemporalNamespaceDivision IS NULL
BEGIN
    INSERT INTO visibility_counts VALUES (NEW.namespace_id, NEW.status, 1)
        ON CONFLICT (namespace_id, status) DO UPDATE SET runs = runs + 1;
END;
CREATE TRIGGER visibility_removed AFTER DELETE ON visibility WHEN OLD.TemporalNamespaceDivision IS NULL
BEGIN
    UPDATE visibility_counts SET runs = runs - 1
        WHERE namespace_id = OLD.namespace_id AND status = OLD.status;
END;
CREATE TRIGGER visibility_changed AFTER UPDATE ON visibility
    WHEN OLD.status <> NEW.status OR OLD.namespace_id <> NEW.namespace_id
        OR (OLD.TemporalNamespaceDivision IS NULL) <> (NEW.TemporalNamespaceDivision IS NULL)
BEGIN
    UPDATE visibility_counts SET runs = runs - 1
        WHERE namespace_id = OLD.namespace_id AND status = OLD.status
        AND OLD.TemporalNamespaceDivision IS NULL;
    INSERT INTO visibility_counts
        SELECT NEW.namespace_id, NEW.status, 1 WHERE NEW.TemporalNamespaceDivision IS NULL
        ON CONFLICT (namespace_id, status) DO UPDATE SET runs = runs + 1;
END;
