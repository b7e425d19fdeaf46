// Verifies with the vendor's library, queues each event once (its id is the job's), and only then answers.
import { Queue } from "bullmq";
import Fastify from "fastify";
import { Redis } from "ioredis";
import Stripe from "stripe";

const { PEER_HOST, PEER_PORT, PEER_REDIS_PORT, PEER_SECRET } = process.env;
const stripe = new Stripe("sk_test_not_used");
const queue = new Queue("webhooks", {
  connection: new Redis(Number(PEER_REDIS_PORT), "127.0.0.1"),
  // Completed jobs are kept for a day, so that an event that comes again is known.
  defaultJobOptions: { attempts: 15, backoff: { type: "exponential", delay: 1_000 }, removeOnComplete: { age: 86_400 } },
});

queue.on("error", () => {}); // Redis is gone for a moment; it connects again by itself

const app = Fastify({ bodyLimit: 1 << 20 });
app.removeAllContentTypeParsers();
app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
app.post("/webhooks/stripe", async (request, reply) => {
  let event;
  try {
    event = stripe.webhooks.constructEvent(request.body, request.headers["stripe-signature"], PEER_SECRET);
  } catch {
    return reply.code(400).send({ error: "signature" });
  }
  await queue.add(event.type, event, { jobId: event.id });
  return { received: true };
});
await queue.waitUntilReady();
await app.listen({ host: PEER_HOST, port: Number(PEER_PORT) });
