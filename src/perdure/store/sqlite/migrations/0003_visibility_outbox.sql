-- Rows of lists on their way to a second database, if there is one for them. See docs/visibility.md.
CREATE TABLE visibility_outbox (
    -- Never used twice: what was read is deleted by its positions.
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    -- The whole row, encoded; empty for a run that is gone.
    data BLOB NOT NULL,
    written_at_ns INTEGER NOT NULL
);
