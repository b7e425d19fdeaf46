-- Hashes by which sales are found, in 64 parts by their highest bits, so that a search reads one of them. They are written anew.
DROP TABLE sale_hashes;
CREATE TABLE sale_hashes (
    part   BIGINT  NOT NULL,
    last   BIGINT  NOT NULL,
    hashes BYTEA   NOT NULL,
    PRIMARY KEY (part, last)
);
