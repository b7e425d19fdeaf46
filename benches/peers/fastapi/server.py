"""Verifies with the vendor's library, stores each event once and durably, and only then answers."""

import os

import stripe
from fastapi import FastAPI, Request, Response

from store import open_store

SECRET = os.environ["PEER_SECRET"]
app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
db = open_store(os.environ["PEER_STORE"])


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
