"""Verifies with the vendor's library, stores each event once and durably, and only then answers.

Forwards in the same process, which shares the connection: two processes would wait for each other's locks.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import stripe
from fastapi import FastAPI, Request, Response

from store import open_store
from worker import forward_forever

SECRET = os.environ["PEER_SECRET"]
db = open_store(os.environ["PEER_STORE"])


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    forwarding = asyncio.create_task(forward_forever(db, os.environ["PEER_SINK"]))
    yield
    forwarding.cancel()


app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)


@app.post("/webhooks/stripe")
async def webhook(request: Request) -> Response:
    body = await request.body()
    try:
        event = stripe.Webhook.construct_event(body, request.headers.get("stripe-signature", ""), SECRET)
    except (ValueError, stripe.SignatureVerificationError):
        return Response(status_code=400)
    with db:
        db.execute(
            "INSERT INTO events (id, type, body) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", (event.id, event.type, body)
        )
    return Response(status_code=200)
