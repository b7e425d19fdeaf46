-- Requests that were refused, the newest of each cause, exactly as they came; the path token only as "right" (1) or as a hash.
-- Numbers are never used again, so that nobody accepts another request than the one they saw.
CREATE TABLE refused (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    source          TEXT    NOT NULL,
    received_at     INTEGER NOT NULL,
    code            TEXT    NOT NULL,
    finding         TEXT    NOT NULL,
    cause           TEXT    NOT NULL,
    diagnosis       TEXT    NOT NULL,
    url             TEXT,
    query           TEXT,
    headers         TEXT    NOT NULL,
    private_headers TEXT    NOT NULL,
    private_queries TEXT    NOT NULL,
    body            BLOB,
    body_bytes      INTEGER NOT NULL,
    connection      TEXT,
    token           INTEGER NOT NULL,
    token_hash      BLOB
);
CREATE INDEX refused_cause ON refused (source, code, finding, id);

-- How often requests were refused, whether or not they were kept.
CREATE TABLE refused_counts (
    source   TEXT    NOT NULL,
    code     TEXT    NOT NULL,
    count    INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (source, code)
) WITHOUT ROWID;
