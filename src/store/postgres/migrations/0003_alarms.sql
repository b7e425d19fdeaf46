-- Alarms that are on, since when and when they were last told; and of those that are off what is known already.
CREATE TABLE alarms (
    name       TEXT   PRIMARY KEY,
    since      BIGINT,
    told_at    BIGINT,
    level      BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    what       TEXT   NOT NULL
);

-- Which replica keeps watch, and until when, by this database's clock.
CREATE TABLE watch (
    id           BIGINT PRIMARY KEY CHECK (id = 1),
    holder       BIGINT NOT NULL,
    leased_until BIGINT NOT NULL
);
