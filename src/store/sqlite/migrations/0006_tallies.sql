-- What is counted hour by hour: requests, events, sales (by the hour of the sale, and how they came by their click), what was taken back
-- of them, attempts, refusals. Sums are units * 1000000000 + rest minor units. Each replica adds to rows of its own.
CREATE TABLE tallies (
    what     TEXT    NOT NULL,
    hour     INTEGER NOT NULL,
    source   TEXT    NOT NULL,
    label    TEXT    NOT NULL,
    currency TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    units    INTEGER NOT NULL,
    rest     INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (what, hour, source, label, currency, shard)
) WITHOUT ROWID;
INSERT INTO tallies SELECT 'sale', at / 3600000, source, label, currency, 0, COUNT(*), SUM(amount_minor / 1000000000), SUM(amount_minor % 1000000000), 0
    FROM (SELECT *, CASE WHEN parked_code IS NOT NULL THEN 'parked:' || parked_code WHEN trail ->> '$.clickId.from' = 'request' THEN 'attributed'
        WHEN trail ->> '$.clickId.from' IS NOT NULL THEN 'remembered' WHEN click_code IS NOT NULL THEN 'unattributed:' || click_code ELSE 'waiting' END AS label FROM sales) AS counted
    WHERE scope LIKE 'live:%' AND state <> 'merged' AND COALESCE(parked_code, '') <> 'not_a_sale_today'
    GROUP BY 2, 3, 4, 5;
INSERT INTO tallies SELECT 'taken_back', at / 3600000, source, label, currency, 0, COUNT(*), SUM(taken_back / 1000000000), SUM(taken_back % 1000000000), 0
    FROM (SELECT *, CASE WHEN parked_code IS NOT NULL THEN 'parked:' || parked_code WHEN trail ->> '$.clickId.from' = 'request' THEN 'attributed'
        WHEN trail ->> '$.clickId.from' IS NOT NULL THEN 'remembered' WHEN click_code IS NOT NULL THEN 'unattributed:' || click_code ELSE 'waiting' END AS label FROM sales) AS counted
    WHERE scope LIKE 'live:%' AND state <> 'merged' AND COALESCE(parked_code, '') <> 'not_a_sale_today' AND taken_back <> 0
    GROUP BY 2, 3, 4, 5;
INSERT INTO tallies SELECT 'request', received_at / 3600000, source, '', '', 0, COUNT(*), 0, 0, MAX(received_at) FROM inbox
    WHERE id <= (SELECT settled_through FROM progress) GROUP BY 2, 3;
INSERT INTO tallies SELECT 'event', received_at / 3600000, events.source, outcome, '', 0, COUNT(*), 0, 0, MAX(received_at)
    FROM events JOIN inbox ON inbox.id = events.request GROUP BY 2, 3, 4;
INSERT INTO tallies SELECT 'attempt', finished_at / 3600000, upstream, outcome, '', 0, COUNT(*), 0, 0, MAX(finished_at)
    FROM attempts JOIN deliveries ON deliveries.id = attempts.delivery GROUP BY 2, 3, 4;
-- What a person has to look at.
CREATE INDEX events_parked ON events (request) WHERE outcome = 'parked';
CREATE INDEX sales_parked ON sales (id) WHERE state = 'parked';

-- By what sales are found: for each block of 1024 numbers the hashes of what they are known by, sorted, with their places (4 and 2 bytes).
CREATE TABLE sale_hashes (
    last   INTEGER PRIMARY KEY,
    hashes BLOB    NOT NULL
);
-- What changed after its block was written.
CREATE TABLE sale_hashes_later (
    hash INTEGER NOT NULL,
    sale INTEGER NOT NULL,
    PRIMARY KEY (hash, sale)
) WITHOUT ROWID;
