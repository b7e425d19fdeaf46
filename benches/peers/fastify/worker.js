// Forwards queued events, at most 32 at a time; BullMQ tries again later what was not accepted.
import { Worker } from "bullmq";
import { Redis } from "ioredis";

const { PEER_REDIS_PORT, PEER_SINK } = process.env;

async function forward(job) {
  const headers = { "content-type": "application/json", "idempotency-key": job.id };
  const answer = await fetch(PEER_SINK, {
    method: "POST",
    headers,
    body: JSON.stringify(job.data),
    signal: AbortSignal.timeout(30_000),
  });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
}

const worker = new Worker("webhooks", forward, {
  connection: new Redis(Number(PEER_REDIS_PORT), "127.0.0.1", { maxRetriesPerRequest: null }),
  concurrency: 32,
});
worker.on("error", () => {}); // Redis is gone for a moment; it connects again by itself
