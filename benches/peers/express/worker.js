// Forwards what is due, at most 32 at a time, and tries again later what was not accepted.
const AT_ONCE = 32;

export async function forwardForever(db, sink) {
  const due = db.prepare("SELECT number, id, body, tries FROM events WHERE sent = 0 AND due <= ? ORDER BY due, number LIMIT ?");
  const done = db.prepare("UPDATE events SET sent = 1 WHERE number = ?");
  const later = db.prepare("UPDATE events SET tries = tries + 1, due = ? WHERE number = ?");
  const mark = db.transaction((results) => {
    for (const { row, accepted } of results) {
      if (accepted) done.run(row.number);
      else later.run(Date.now() + Math.min(60_000, 1_000 * 2 ** row.tries), row.number);
    }
  });
  for (;;) {
    const rows = due.all(Date.now(), AT_ONCE);
    if (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    else mark(await Promise.all(rows.map((row) => forward(row, sink))));
  }
}

async function forward(row, sink) {
  try {
    const headers = { "content-type": "application/json", "idempotency-key": row.id };
    const answer = await fetch(sink, { method: "POST", headers, body: row.body, signal: AbortSignal.timeout(30_000) });
    await answer.arrayBuffer();
    return { row, accepted: answer.ok };
  } catch {
    return { row, accepted: false };
  }
}
