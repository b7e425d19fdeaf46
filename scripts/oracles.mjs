// The vendors' libraries that exist for Node only, asked by oracles.py: one question in JSON on each line of the standard input,
// one answer on each line of the standard output. A question names the source, what is to be done, the request (its body in
// base64) and the secret. `vouch` answers whether the library believes the request; `sign` answers with the signature.

import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const require = createRequire(path.resolve(process.argv[2], "package.json"));

const libraries = {
  "chargebee": {
    async vouch({ headers, secret: { username, password } }) {
      const { basicAuthValidator } = require("chargebee");
      await basicAuthValidator((user, word) => user === username && word === password)(headers); // throws
      return true;
    },
  },
  "clerk-billing-node": {
    async vouch({ headers, body, secret }) {
      const { verifyWebhook } = require("@clerk/backend/webhooks");
      const request = new Request("https://hooks.example.com/", { method: "POST", headers, body });
      return (await verifyWebhook(request, { signingSecret: secret })) !== undefined; // throws
    },
  },
  "coinbase-business": {
    vouch({ headers, body, secret }) {
      const hook0 = require("hook0-client");
      return hook0.verifyWebhookSignature(headers["x-hook0-signature"], body, new Headers(headers), secret, 300);
    },
  },
  "creem": {
    async vouch({ headers, body, secret }) {
      const { verifyWebhookSignature } = require("creem/webhooks.js");
      await verifyWebhookSignature(body.toString(), headers, secret); // throws
      return true;
    },
  },
  "dodo-node": {
    vouch({ headers, body, secret }) {
      const { DodoPayments } = require("dodopayments");
      const client = new DodoPayments({ bearerToken: "unused", webhookKey: secret });
      return client.webhooks.unwrap(body.toString(), { headers }) !== undefined; // throws
    },
  },
  "midtrans-snap": {
    vouch({ path, headers, body, secret }) {
      const { SnapBi, SnapBiConfig } = require("midtrans-client");
      SnapBiConfig.snapBiPublicKey = secret;
      return SnapBi.notification()
        .withNotificationPayload(JSON.parse(body))
        .withSignature(headers["x-signature"])
        .withTimeStamp(headers["x-timestamp"])
        .withNotificationUrlPath(path)
        .isWebhookNotificationVerified();
    },
  },
  "mollie": {
    async sign({ body, secret }) {
      const { SignatureValidator } = require("mollie-api-typescript");
      return SignatureValidator.createSignature(body.toString(), secret);
    },
    async vouch({ headers, body, secret }) {
      const { SignatureValidator } = require("mollie-api-typescript");
      return new SignatureValidator(secret).validatePayload(body.toString(), headers["x-mollie-signature"]);
    },
  },
  "shopify": {
    async vouch({ path, headers, body, secret }) {
      require("@shopify/shopify-api/adapters/node");
      const { shopifyApi, LogSeverity } = require("@shopify/shopify-api");
      const shopify = shopifyApi({
        apiKey: "unused",
        apiSecretKey: secret,
        apiVersion: headers["x-shopify-api-version"],
        hostName: "shop.example.com",
        isEmbeddedApp: false,
        logger: { level: LogSeverity.Error },
      });
      const rawRequest = { method: "POST", url: path, headers };
      return (await shopify.webhooks.validate({ rawBody: body.toString(), rawRequest, rawResponse: {} })).valid;
    },
  },
  "standard-webhooks-node": {
    vouch({ headers, body, secret }) {
      const { Webhook } = require("standardwebhooks");
      return new Webhook(secret).verify(body.toString(), headers) !== undefined; // throws
    },
  },
  "whop": {
    vouch({ headers, body, secret }) {
      const { Whop } = require("@whop/sdk");
      const client = new Whop({ apiKey: "unused", webhookKey: btoa(secret) }); // as in the vendor's guide
      return client.webhooks.unwrap(body.toString(), { headers }) !== undefined; // throws
    },
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { provider, action, ...question } = JSON.parse(line);
  let answer;
  try {
    const body = Buffer.from(question.body, "base64");
    answer = { answer: await libraries[provider][action]({ ...question, body }) };
  } catch (error) {
    answer = { refusal: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
