-- Rows of lists on their way to a second database, if there is one for them. See docs/visibility.md.
CREATE TABLE visibility_outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL,
    -- The whole row, encoded; empty for a run that is gone.
    data bytea NOT NULL,
    written_at_ns bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
