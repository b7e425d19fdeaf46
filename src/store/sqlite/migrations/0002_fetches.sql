-- The query of the URL that was called.
ALTER TABLE inbox ADD COLUMN query TEXT;

-- Events that only refer to what has to be fetched: due until all was fetched, then ready to be mapped.
CREATE TABLE fetches (
    request  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    source   TEXT    NOT NULL,
    ready    INTEGER NOT NULL,
    due_at   INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    PRIMARY KEY (request, position)
) WITHOUT ROWID;
CREATE INDEX fetches_due ON fetches (source, due_at) WHERE ready = 0;
CREATE INDEX fetches_ready ON fetches (request, position) WHERE ready = 1;

-- What was answered, as it came: one more input of the fold. Rows are only ever appended.
CREATE TABLE answers (
    request    INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    step       INTEGER NOT NULL,
    path       TEXT    NOT NULL,
    failed     INTEGER NOT NULL,
    text       TEXT    NOT NULL,
    fetched_at INTEGER NOT NULL,
    PRIMARY KEY (request, position, step)
) WITHOUT ROWID;

-- What events that are no sales said about a purchase that is not counted yet, by its key.
CREATE TABLE hints (
    scope TEXT NOT NULL,
    kind  TEXT NOT NULL,
    value TEXT NOT NULL,
    buyer TEXT NOT NULL,
    PRIMARY KEY (scope, kind, value)
) WITHOUT ROWID;
