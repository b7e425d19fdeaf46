"""Forwards what is due, at most 32 at a time, and tries again later what was not accepted."""

import asyncio
import sqlite3
import time

import httpx

AT_ONCE = 32


async def forward(client: httpx.AsyncClient, sink: str, row: tuple) -> tuple[tuple, bool]:
    headers = {"content-type": "application/json", "idempotency-key": row[1]}
    try:
        answer = await client.post(sink, content=row[2], headers=headers)
        return row, answer.is_success
    except httpx.HTTPError:
        return row, False


async def forward_forever(db: sqlite3.Connection, sink: str) -> None:
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=AT_ONCE)) as client:
        while True:
            rows = db.execute(
                "SELECT number, id, body, tries FROM events WHERE sent = 0 AND due <= ? ORDER BY due, number LIMIT ?",
                (time.time(), AT_ONCE),
            ).fetchall()
            if not rows:
                await asyncio.sleep(0.02)
                continue
            results = await asyncio.gather(*(forward(client, sink, row) for row in rows))
            with db:
                for row, accepted in results:
                    if accepted:
                        db.execute("UPDATE events SET sent = 1 WHERE number = ?", (row[0],))
                    else:
                        due = time.time() + min(60, 2 ** row[3])
                        db.execute("UPDATE events SET tries = tries + 1, due = ? WHERE number = ?", (due, row[0]))
