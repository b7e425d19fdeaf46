-- Hashes by which sales are found, in 64 parts by their highest bits, so that a search reads one of them. They are written anew.
DROP TABLE sale_hashes;
CREATE TABLE sale_hashes (
    part   INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (part, last)
) WITHOUT ROWID;
