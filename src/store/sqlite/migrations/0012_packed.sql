-- What requests of a source have in common, learned from them: with it the next ones take a tenth of the room.
CREATE TABLE dictionaries (
    id           INTEGER PRIMARY KEY,
    source       TEXT    NOT NULL,
    learned_from INTEGER NOT NULL,
    made_at      INTEGER NOT NULL,
    bytes        BLOB    NOT NULL
);
-- By which dictionary headers and body stand packed in "body" (0: by none; NULL: they are not packed), and how long the body is.
ALTER TABLE inbox ADD COLUMN dictionary INTEGER;
ALTER TABLE inbox ADD COLUMN body_bytes INTEGER;
