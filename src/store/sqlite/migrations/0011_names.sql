-- What is found by names that come in no order (ids of providers, fingerprints) stands in the order in which it comes, without an index
-- of its own: an index would cost a page of the file for each row. Names are found by their hashes instead.
CREATE TABLE inbox_0011 (
    id          INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    url         TEXT,
    headers     TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    digest      BLOB,
    query       TEXT
);
INSERT INTO inbox_0011 SELECT id, source, received_at, url, headers, body, digest, query FROM inbox ORDER BY id;
DROP TABLE inbox;
ALTER TABLE inbox_0011 RENAME TO inbox;

DROP INDEX events_unique_id;

CREATE TABLE sale_keys_0011 (
    id    INTEGER PRIMARY KEY,
    scope TEXT    NOT NULL,
    kind  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    sale  INTEGER NOT NULL
);
INSERT INTO sale_keys_0011 (scope, kind, value, sale) SELECT scope, kind, value, sale FROM sale_keys ORDER BY sale;
DROP TABLE sale_keys;
ALTER TABLE sale_keys_0011 RENAME TO sale_keys;

CREATE TABLE sale_groups_0011 (
    id    INTEGER PRIMARY KEY,
    scope TEXT    NOT NULL,
    kind  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    sale  INTEGER NOT NULL
);
INSERT INTO sale_groups_0011 (scope, kind, value, sale) SELECT scope, kind, value, sale FROM sale_groups ORDER BY sale;
DROP TABLE sale_groups;
ALTER TABLE sale_groups_0011 RENAME TO sale_groups;

CREATE TABLE identities_0011 (
    id                   INTEGER PRIMARY KEY,
    scope                TEXT    NOT NULL,
    customer             TEXT    NOT NULL,
    customer_external_id TEXT,
    customer_origin      TEXT,
    customer_at          INTEGER,
    clicks               TEXT    NOT NULL,
    first_seen           INTEGER NOT NULL,
    last_seen            INTEGER NOT NULL
);
INSERT INTO identities_0011 (scope, customer, customer_external_id, customer_origin, customer_at, clicks, first_seen, last_seen)
    SELECT scope, customer, customer_external_id, customer_origin, customer_at, clicks, first_seen, last_seen FROM identities ORDER BY rowid;
DROP TABLE identities;
ALTER TABLE identities_0011 RENAME TO identities;

-- Names of the newest rows, as each commit made them: hashes and rows, of 8 bytes each. No number is used twice.
CREATE TABLE name_log (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    entries BLOB    NOT NULL
);
-- Runs: names of older rows, sorted by their hashes, in parts of a page.
CREATE TABLE name_runs (
    id      INTEGER PRIMARY KEY,
    level   INTEGER NOT NULL,
    entries INTEGER NOT NULL
);
-- The parts of run 7 have the numbers 7 * 16777216, and so on.
CREATE TABLE name_parts (
    id      INTEGER PRIMARY KEY,
    entries BLOB    NOT NULL
);
-- Whether all that goes by names is in the log or a run (if not, the next start sees to it), and how often the runs were changed.
CREATE TABLE name_state (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    is_filled INTEGER NOT NULL,
    changes   INTEGER NOT NULL
);
INSERT INTO name_state VALUES (1, 0, 0);
