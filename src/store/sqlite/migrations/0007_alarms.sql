-- Alarms that are on, since when and when they were last told; and of those that are off what is known already.
CREATE TABLE alarms (
    name       TEXT    PRIMARY KEY,
    since      INTEGER,
    told_at    INTEGER,
    level      INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    what       TEXT    NOT NULL
) WITHOUT ROWID;

-- Which process keeps watch, and until when.
CREATE TABLE watch (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    holder       INTEGER NOT NULL,
    leased_until INTEGER NOT NULL
);
