-- Which lease a delivery is under, and whose; how many attempts came to "perhaps never"; since when it may have been accepted.
ALTER TABLE deliveries ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN leased_by INTEGER;
ALTER TABLE deliveries ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN maybe_since INTEGER;
UPDATE deliveries SET limited = (SELECT COUNT(*) FROM attempts WHERE delivery = id AND outcome = 'retry_limited'),
    maybe_since = (SELECT MIN(started_at) FROM attempts WHERE delivery = id AND outcome = 'unknown')
    WHERE state IN ('due', 'sending', 'dead');
