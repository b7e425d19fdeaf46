-- The last row of the log always stays, so that its numbers go on by themselves. A table that remembers its highest number costs every
-- commit a page.
CREATE TABLE name_log_0013 (
    id      INTEGER PRIMARY KEY,
    entries BLOB    NOT NULL
);
INSERT INTO name_log_0013 SELECT id, entries FROM name_log ORDER BY id;
DROP TABLE name_log;
ALTER TABLE name_log_0013 RENAME TO name_log;
