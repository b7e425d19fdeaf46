// The table that the server writes and the worker empties.
import Database from "better-sqlite3";

export function open(path) {
  const db = new Database(path, { timeout: 10_000 });
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.exec(`CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, body BLOB NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL DEFAULT 0)`);
  db.exec("CREATE INDEX IF NOT EXISTS pending ON events (due) WHERE sent = 0");
  return db;
}
