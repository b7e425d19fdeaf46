-- The memory of a customer in the order in which customers came, found by an index of its own: a row is long, and a tree that is
-- ordered by names in no order would write a page of long rows for each, and long rows into its inner pages.
CREATE TABLE identities_0010 (
    scope                TEXT    NOT NULL,
    customer             TEXT    NOT NULL,
    customer_external_id TEXT,
    customer_origin      TEXT,
    customer_at          INTEGER,
    clicks               TEXT    NOT NULL,
    first_seen           INTEGER NOT NULL,
    last_seen            INTEGER NOT NULL
);
INSERT INTO identities_0010 SELECT scope, customer, customer_external_id, customer_origin, customer_at, clicks, first_seen, last_seen
    FROM identities ORDER BY first_seen;
DROP TABLE identities;
ALTER TABLE identities_0010 RENAME TO identities;
CREATE UNIQUE INDEX identities_customer ON identities (scope, customer);
CREATE INDEX identities_person ON identities (customer_external_id) WHERE customer_external_id IS NOT NULL;
