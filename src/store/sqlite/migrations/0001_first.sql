-- Times are milliseconds since 1970 in UTC. A scope is "live:ACCOUNT" or "test:ACCOUNT".

-- Every verified request, exactly as it came. Rows are only ever appended.
CREATE TABLE inbox (
    id          INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    url         TEXT,
    headers     TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    digest      BLOB    UNIQUE
);

-- How far the fold over the inbox has come: every request up to settled_through is settled.
CREATE TABLE progress (
    only            INTEGER PRIMARY KEY CHECK (only = 1),
    settled_through INTEGER NOT NULL
);
INSERT INTO progress VALUES (1, 0);

-- What became of each event of each request.
CREATE TABLE events (
    request   INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    source    TEXT    NOT NULL,
    unique_id TEXT,
    kind      TEXT    NOT NULL,
    mode      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    outcome   TEXT    NOT NULL,
    code      TEXT,
    reason    TEXT,
    sale      INTEGER,
    PRIMARY KEY (request, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX events_unique_id ON events (source, unique_id) WHERE unique_id IS NOT NULL;
CREATE INDEX events_sale ON events (sale) WHERE sale IS NOT NULL;

CREATE TABLE sales (
    id                   INTEGER PRIMARY KEY,
    source               TEXT    NOT NULL,
    scope                TEXT    NOT NULL,
    event                TEXT    NOT NULL,
    rank                 INTEGER NOT NULL,
    amount_minor         INTEGER NOT NULL,
    currency             TEXT    NOT NULL,
    at                   INTEGER NOT NULL,
    customer             TEXT,
    customer_external_id TEXT,
    click_id             TEXT,
    email                TEXT,
    name                 TEXT,
    trail                TEXT    NOT NULL,
    keys                 TEXT    NOT NULL,
    renewal              INTEGER NOT NULL,
    awaits               TEXT    NOT NULL,
    seen                 TEXT    NOT NULL,
    state                TEXT    NOT NULL,
    waits_until          INTEGER,
    merged_into          INTEGER,
    parked_code          TEXT,
    parked_reason        TEXT,
    click_code           TEXT,
    click_reason         TEXT,
    request              INTEGER NOT NULL,
    counted_at           INTEGER NOT NULL,
    sent_as              TEXT
);
CREATE INDEX sales_waiting ON sales (waits_until) WHERE state = 'waiting';
-- Sales that something learned about their customer may still complete.
CREATE INDEX sales_open ON sales (scope, customer)
    WHERE sent_as IS NULL AND state <> 'merged' AND (click_id IS NULL OR customer_external_id IS NULL);

-- The ids by which a sale is found. For ever: dedupe never expires.
CREATE TABLE sale_keys (
    scope TEXT    NOT NULL,
    kind  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    sale  INTEGER NOT NULL,
    PRIMARY KEY (scope, kind, value)
) WITHOUT ROWID;

CREATE TABLE identities (
    scope                TEXT    NOT NULL,
    customer             TEXT    NOT NULL,
    customer_external_id TEXT,
    customer_origin      TEXT,
    click_id             TEXT,
    click_origin         TEXT,
    click_at             INTEGER,
    first_seen           INTEGER NOT NULL,
    last_seen            INTEGER NOT NULL,
    PRIMARY KEY (scope, customer)
) WITHOUT ROWID;

-- Pairs of sales, both sent, that turned out to be one purchase.
CREATE TABLE double_counts (
    first   INTEGER NOT NULL,
    second  INTEGER NOT NULL,
    request INTEGER NOT NULL,
    PRIMARY KEY (first, second)
) WITHOUT ROWID;

CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY,
    sale         INTEGER NOT NULL,
    upstream     TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    due_at       INTEGER NOT NULL,
    tried_since  INTEGER,
    leased_until INTEGER,
    attempts     INTEGER NOT NULL,
    last_status  INTEGER,
    last_reason  TEXT,
    updated_at   INTEGER NOT NULL,
    UNIQUE (sale, upstream)
);
CREATE INDEX deliveries_due ON deliveries (upstream, due_at) WHERE state = 'due';
CREATE INDEX deliveries_sending ON deliveries (upstream, leased_until) WHERE state = 'sending';
CREATE INDEX deliveries_dead ON deliveries (upstream) WHERE state = 'dead';

CREATE TABLE attempts (
    delivery    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    status      INTEGER,
    reason      TEXT    NOT NULL,
    request     TEXT    NOT NULL,
    answer      TEXT    NOT NULL,
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

-- Whether an upstream's queue stands still, and why.
CREATE TABLE upstreams (
    name         TEXT    PRIMARY KEY,
    paused       INTEGER NOT NULL,
    reason       TEXT,
    since        INTEGER NOT NULL
) WITHOUT ROWID;
