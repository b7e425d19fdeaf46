-- How each amount was arrived at, which event told it, when it was last said to be paid, and what was taken back of it.
ALTER TABLE sales ADD COLUMN proof TEXT NOT NULL DEFAULT '';
ALTER TABLE sales ADD COLUMN teller TEXT NOT NULL DEFAULT '';
ALTER TABLE sales ADD COLUMN paid_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sales ADD COLUMN taken_back INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sales ADD COLUMN adjustments INTEGER NOT NULL DEFAULT 0;
UPDATE sales SET paid_at = at,
    proof = json_object('parts', json_array(json_object('what', 'total', 'minor', amount_minor, 'written', CAST(amount_minor AS TEXT), 'path', '')),
        'currency_path', ''),
    teller = json_object('request', request, 'kind', '', 'at_path', NULL);
-- Sales of the team's customer that a click from another source may still complete.
CREATE INDEX sales_open_person ON sales (customer_external_id)
    WHERE sent_as IS NULL AND state <> 'merged' AND click_id IS NULL AND customer_external_id IS NOT NULL;

-- Ids that several sales may share, and by which a refund may name its sale.
CREATE TABLE sale_groups (
    scope TEXT    NOT NULL,
    kind  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    sale  INTEGER NOT NULL,
    PRIMARY KEY (scope, kind, value, sale)
) WITHOUT ROWID;
INSERT OR IGNORE INTO sale_groups
    SELECT sales.scope, key.value ->> 'kind', key.value ->> 'value', sales.id
    FROM sales, json_each(sales.keys) AS key WHERE NOT key.value ->> 'identifies' AND sales.state <> 'merged';

-- What was said of money that went back. Without a sale: it came first, and a hint leads to it.
CREATE TABLE adjustments (
    request      INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    source       TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    sale         INTEGER,
    kind         TEXT    NOT NULL,
    provider_id  TEXT,
    amount_minor INTEGER,
    currency     TEXT,
    cumulative   INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (request, position)
) WITHOUT ROWID;
CREATE INDEX adjustments_sale ON adjustments (sale) WHERE sale IS NOT NULL;

-- Whether the sale had been sent before the event came, and what the event said, as a number.
ALTER TABLE events ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN digest INTEGER;
CREATE TEMP TABLE stands AS
    WITH RECURSIVE chain (first, last) AS (
        SELECT id, merged_into FROM sales WHERE state = 'merged'
        UNION SELECT chain.first, sales.merged_into FROM chain JOIN sales ON sales.id = chain.last WHERE sales.state = 'merged')
    SELECT first, MAX(last) AS last FROM chain WHERE last NOT IN (SELECT id FROM sales WHERE state = 'merged') GROUP BY first;
UPDATE events SET sale = (SELECT last FROM stands WHERE first = events.sale) WHERE sale IN (SELECT first FROM stands);
DROP TABLE stands;
UPDATE events SET late = 1 WHERE sale IS NOT NULL AND EXISTS (
    SELECT 1 FROM deliveries JOIN attempts ON attempts.delivery = deliveries.id AND attempts.number = 1
    JOIN inbox ON inbox.id = events.request
    WHERE deliveries.sale = events.sale AND inbox.received_at > attempts.started_at);

-- All clicks of a customer instead of the latest. Who has no provider's customer stands in a scope without an account.
ALTER TABLE identities ADD COLUMN clicks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE identities ADD COLUMN customer_at INTEGER;
UPDATE identities SET customer_at = last_seen WHERE customer_external_id IS NOT NULL;
UPDATE identities SET clicks = json_array(json_object(
        'click_id', json_object('value', click_id, 'origin', json_object('request', json_object(
            'request', click_origin ->> 'request', 'path', COALESCE(click_origin ->> 'path', '')))),
        'at', click_at))
    WHERE click_id IS NOT NULL;
ALTER TABLE identities DROP COLUMN click_id;
ALTER TABLE identities DROP COLUMN click_origin;
ALTER TABLE identities DROP COLUMN click_at;
-- The team's own customers, across sources.
CREATE INDEX identities_person ON identities (customer_external_id) WHERE customer_external_id IS NOT NULL;

-- A hint also ties ids together and leads to what was said of money that went back.
ALTER TABLE hints RENAME COLUMN buyer TO hint;
UPDATE hints SET hint = json_object('buyer', json(hint), 'keys', json_array(), 'statements', json_array());
