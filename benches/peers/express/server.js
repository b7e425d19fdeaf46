// Verifies with the vendor's library, stores each event once and durably, and only then answers. Forwards in the same process, which
// shares the connection: two processes would wait for each other's locks.
import express from "express";
import Stripe from "stripe";
import { open } from "./store.js";
import { forwardForever } from "./worker.js";

const { PEER_HOST, PEER_PORT, PEER_SECRET, PEER_SINK, PEER_STORE } = process.env;
const stripe = new Stripe("sk_test_not_used");
const db = open(PEER_STORE);
const insert = db.prepare("INSERT INTO events (id, type, body) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING");

const app = express();
app.disable("x-powered-by");
app.post("/webhooks/stripe", express.raw({ type: "application/json", limit: "1mb" }), (request, response) => {
  let event;
  try {
    event = stripe.webhooks.constructEvent(request.body, request.headers["stripe-signature"], PEER_SECRET);
  } catch {
    return response.status(400).json({ error: "signature" });
  }
  insert.run(event.id, event.type, request.body);
  response.json({ received: true });
});
app.listen(Number(PEER_PORT), PEER_HOST);
forwardForever(db, PEER_SINK);
