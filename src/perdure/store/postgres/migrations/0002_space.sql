-- Retention deletes about as many rows as are written, evenly spread over the tables. With PostgreSQL's own defaults a fifth
-- of a table must be dead before its space is used again: in a large one that is too much, and then too much at once.
ALTER TABLE executions SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE journal SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE visibility SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
