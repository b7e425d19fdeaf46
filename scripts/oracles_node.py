"""The providers whose libraries exist for Node only. They are asked by another process, oracles.mjs."""

import base64
import hashlib
import json
import secrets
import subprocess
import uuid
from dataclasses import replace
from datetime import datetime, timezone

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

from oracles_request import Headers, Provider, UserAndPassword, hmac_base64, hmac_sha256, seconds


class Node:
    """The other process, oracles.mjs: asks it, and raises what it refuses."""

    def __init__(self, script, libraries):
        command = ["node", str(script), str(libraries)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, provider, action, request, secret):
        path, headers, body = request.path, dict(request.headers), base64.b64encode(request.body).decode()
        question = {"provider": provider, "action": action, "path": path, "headers": headers, "body": body, "secret": secret}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "refusal" in answer:
            raise ValueError(answer["refusal"])
        return answer["answer"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class NodeProvider(Provider):
    node = None  # the same process for all, set by the runner

    def vouch(self, request):
        return self.node.ask(self.name, "vouch", request, self.secret)


class Chargebee(UserAndPassword, NodeProvider):
    name, sdk, case = "chargebee", ("npm", "chargebee"), "first-payment-of-a-subscription"

    def sign(self, request, secret=None, at=None):
        secret = secret or self.secret
        token = base64.b64encode(f"{secret['username']}:{secret['password']}".encode()).decode()
        return request.with_headers(authorization=f"Basic {token}")


class CoinbaseBusiness(NodeProvider):
    name, sdk, case = "coinbase-business", ("npm", "hook0-client"), "checkout-paid"
    max_age_secs = 300

    def sign(self, request, secret=None, at=None):
        secret, at = secret or self.secret, seconds(at)
        names = ["content-type", "x-event-id", "x-event-type"]
        headers = f"{' '.join(names)}.{'.'.join(request.headers[name] for name in names)}"
        body_alone = hmac_sha256(secret, f"{at}.".encode() + request.body).hexdigest()
        with_headers = hmac_sha256(secret, f"{at}.{headers}.".encode() + request.body).hexdigest()
        return request.with_headers(x_hook0_signature=f"t={at},v0={body_alone},h={' '.join(names)},v1={with_headers}")


class Creem(NodeProvider):
    name, sdk, case = "creem", ("npm", "creem"), "checkout-completed"

    def sign(self, request, secret=None, at=None):
        return request.with_headers(creem_signature=hmac_sha256(secret or self.secret, request.body).hexdigest())


class MidtransSnap(NodeProvider):
    name, sdk, case = "midtrans-snap", ("npm", "midtrans-client"), "debit-success"
    lacks_send = "the bridge knows only the public key, so it cannot sign"

    def invent(self):
        return RSA.generate(2048)

    def configured(self):
        return {"secrets": [self.public_key()]}

    def public_key(self):
        return self.secret.public_key().export_key().decode()

    def sign(self, request, secret=None, at=None):
        at = datetime.fromtimestamp(seconds(at), timezone.utc).isoformat().replace("+00:00", "Z")
        minified = json.dumps(request.json(), separators=(",", ":"), ensure_ascii=False).encode()
        text = f"POST:{request.path}:{hashlib.sha256(minified).hexdigest()}:{at}"
        signature = pkcs1_15.new(secret or self.secret).sign(SHA256.new(text.encode()))
        return request.with_headers(x_timestamp=at, x_signature=base64.b64encode(signature).decode())

    def vouch(self, request):
        return self.node.ask(self.name, "vouch", request, self.public_key())


class Mollie(NodeProvider):
    name, sdk, case = "mollie", ("npm", "mollie-api-typescript"), "payment-paid"
    signs = True

    def sign(self, request, secret=None, at=None):
        return request.with_headers(
            x_mollie_signature="sha256=" + self.node.ask(self.name, "sign", request, secret or self.secret)
        )


class Shopify(NodeProvider):
    name, sdk, case = "shopify", ("npm", "@shopify/shopify-api"), "orders-paid"

    def sign(self, request, secret=None, at=None):
        needed = {  # its library refuses a request without them
            "X-Shopify-Topic": "orders/paid",
            "X-Shopify-Shop-Domain": "teapots.example.com",
            "X-Shopify-API-Version": "2026-10",
            "X-Shopify-Webhook-Id": str(uuid.uuid4()),
        }
        request = replace(request, headers=Headers({**needed, **request.headers}))
        return request.with_headers(x_shopify_hmac_sha256=hmac_base64(secret or self.secret, request.body))


class Whop(NodeProvider):
    name, sdk, case = "whop", ("npm", "@whop/sdk"), "payment-succeeded"
    max_age_secs = 300

    def invent(self):
        return "ws_" + secrets.token_hex(32)

    def sign(self, request, secret=None, at=None):
        at, delivery = seconds(at), f"msg_{uuid.uuid4().hex}"
        signature = hmac_base64(secret or self.secret, f"{delivery}.{at}.".encode() + request.body)
        return request.with_headers(webhook_id=delivery, webhook_timestamp=str(at), webhook_signature=f"v1,{signature}")
