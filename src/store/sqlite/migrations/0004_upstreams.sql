-- A delivery is a sale (number 0) or a step of what was taken back of it (1, 2, …), each for one upstream.
CREATE TABLE deliveries_0004 (
    id             INTEGER PRIMARY KEY,
    sale           INTEGER NOT NULL,
    upstream       TEXT    NOT NULL,
    number         INTEGER NOT NULL,
    amount_minor   INTEGER,
    taken_back     INTEGER,
    state          TEXT    NOT NULL,
    due_at         INTEGER NOT NULL,
    tried_since    INTEGER,
    leased_until   INTEGER,
    counts_repeats INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    last_status    INTEGER,
    last_reason    TEXT,
    upstream_id    TEXT,
    made_at        INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    UNIQUE (sale, upstream, number)
);
INSERT INTO deliveries_0004 SELECT id, sale, upstream, 0, NULL, NULL, state, due_at, tried_since, leased_until, 0, attempts, last_status,
    last_reason, NULL, COALESCE((SELECT counted_at FROM sales WHERE sales.id = sale), updated_at), updated_at FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_0004 RENAME TO deliveries;
CREATE INDEX deliveries_due ON deliveries (upstream, due_at) WHERE state = 'due';
CREATE INDEX deliveries_sending ON deliveries (upstream, leased_until) WHERE state = 'sending';
CREATE INDEX deliveries_dead ON deliveries (upstream) WHERE state = 'dead';

-- A pause by hand outlives a restart, and only a hand ends it.
ALTER TABLE upstreams ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;
