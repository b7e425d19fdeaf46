"""The providers whose own libraries scripts/oracles asks, first those for Python. What each class says of itself stands in
oracles_request.py."""

import base64
import hashlib
import hmac
import secrets
import uuid
from dataclasses import replace
from datetime import datetime, timezone

import braintree
import cashfree_pg.api_client
import coinbase_commerce.webhook
import dodopayments
import gocardless_pro.webhooks
import mercadopago.webhook
import paymongo
import payu.resources.hasher
import phonepe.sdk.pg.common.utils.hash_utils
import sdk_check_providers
import square.utils.webhooks_helper
import standardwebhooks
import svix.webhooks
from Adyen import util as adyen_util
from paytmchecksum import PaytmChecksum

from oracles_node import (
    Chargebee,
    CoinbaseBusiness,
    Creem,
    MidtransSnap,
    Mollie,
    NodeProvider,
    Shopify,
    Whop,
)
from oracles_request import (
    PUBLIC_URL,
    Headers,
    Provider,
    UserAndPassword,
    hmac_base64,
    hmac_sha256,
    other_digit,
    seconds,
)

# Those that scripts/sdk-check plays too --------------------------------------------------------------------------------


class Played(Provider):
    """Signs and vouches as in sdk_check_providers.py."""

    def __init__(self):
        self.player = self.play()
        self.secret, self.other = self.player.secrets[0], self.play().secrets[0]

    def sign(self, request, secret=None, at=None):
        return replace(request, headers=Headers({**request.headers, **self.player.sign(request.body, at=at, secret=secret)}))

    def vouch(self, request):
        return self.player.vouch(request.body, request.headers)


class Stripe(Played):
    name, sdk, case = "stripe", ("PyPI", "stripe"), "checkout-completed"
    signs = True
    max_age_secs = 300
    play = sdk_check_providers.Stripe


class Razorpay(Played):
    name, sdk, case = "razorpay", ("PyPI", "razorpay"), "payment-captured"
    play = sdk_check_providers.Razorpay


class Paddle(Played):
    name, sdk, case = "paddle", ("PyPI", "paddle-python-sdk"), "checkout-completed"
    max_age_secs = 300  # its library refuses earlier, after 5 s
    play = sdk_check_providers.Paddle


class Polar(Played):
    name, sdk, case = "polar", ("PyPI", "polar-sdk"), "purchase"
    max_age_secs = 300
    play = sdk_check_providers.Polar


# Standard Webhooks and its relatives -----------------------------------------------------------------------------------


class StandardWebhooks(Provider):
    name, sdk, case = "standard-webhooks", ("PyPI", "standardwebhooks"), "payment-captured"
    signs = True
    max_age_secs = 300
    prefix = "webhook-"

    def invent(self):
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()

    def key(self, secret):
        """The secret as the library takes it."""
        return secret

    def sign(self, request, secret=None, at=None):
        delivery, at = f"msg_{uuid.uuid4().hex}", datetime.fromtimestamp(seconds(at), timezone.utc)
        signature = standardwebhooks.Webhook(self.key(secret or self.secret)).sign(delivery, at, request.text())
        fields = {"id": delivery, "timestamp": str(int(at.timestamp())), "signature": signature}
        return replace(
            request, headers=Headers({**request.headers, **{self.prefix + name: fields[name] for name in fields}})
        )

    def vouch(self, request):
        standardwebhooks.Webhook(self.key(self.secret)).verify(request.body, request.headers)
        return True


class Dodo(StandardWebhooks):
    name, sdk, case = "dodo", ("PyPI", "dodopayments"), "payment-succeeded"
    signs = False

    def vouch(self, request):
        client = dodopayments.DodoPayments(bearer_token="unused", webhook_key=self.secret)
        return client.webhooks.unwrap(request.text(), headers=request.headers) is not None


class ClerkBilling(StandardWebhooks):
    name, sdk, case = "clerk-billing", ("PyPI", "svix"), "checkout-paid"
    signs = False
    prefix = "svix-"

    def vouch(self, request):
        svix.webhooks.Webhook(self.secret).verify(request.body, request.headers)
        return True


class StandardWebhooksNode(NodeProvider, StandardWebhooks):
    name, pack, sdk = "standard-webhooks-node", "standard-webhooks", ("npm", "standardwebhooks")
    signs = False


class DodoNode(NodeProvider, Dodo):
    name, pack, sdk = "dodo-node", "dodo", ("npm", "dodopayments")


class ClerkBillingNode(NodeProvider, ClerkBilling):
    name, pack, sdk = "clerk-billing-node", "clerk-billing", ("npm", "@clerk/backend")


class BigCommerce(StandardWebhooks):
    name, sdk, case = "bigcommerce", ("PyPI", "standardwebhooks"), "refund-created"

    def invent(self):
        return secrets.token_hex(32)

    def configured(self):
        return {**super().configured(), "named_secrets": {"access_token": secrets.token_hex(16)}}

    def key(self, secret):
        return base64.b64encode(secret.encode()).decode()  # as in the vendor's guide


# Libraries for Python --------------------------------------------------------------------------------------------------


class Adyen(Provider):
    name, sdk, case = "adyen", ("PyPI", "Adyen"), "authorisation"
    signs = True

    def invent(self):
        return secrets.token_hex(32).upper()

    def sign(self, request, secret=None, at=None):
        document = request.json()
        for item in document["notificationItems"]:
            item = item["NotificationRequestItem"]
            signature = adyen_util.generate_notification_sig(item, secret or self.secret).decode()
            item.setdefault("additionalData", {})["hmacSignature"] = signature
        return request.with_json(document)

    def vouch(self, request):
        return adyen_util.is_valid_hmac_notification(request.json(), self.secret)

    def change(self, request):
        document = request.json()
        document["notificationItems"][0]["NotificationRequestItem"]["amount"]["value"] += 1
        return request.with_json(document)


class Braintree(Provider):
    name, sdk, case = "braintree", ("PyPI", "braintree"), "subscription-first-charge"
    public_key = "integration_public_key"

    def invent(self):
        return secrets.token_hex(16)

    def configured(self):
        return {**super().configured(), "named_secrets": {"public_key": self.public_key}}

    def sign(self, request, secret=None, at=None):
        payload = request.form()["bt_payload"]
        key = hashlib.sha1((secret or self.secret).encode()).digest()
        signature = hmac.new(key, payload.encode(), hashlib.sha1).hexdigest()
        return request.with_form({"bt_signature": f"{self.public_key}|{signature}", "bt_payload": payload})

    def vouch(self, request):
        gateway = braintree.BraintreeGateway(
            braintree.Configuration(braintree.Environment.Sandbox, "unused", self.public_key, self.secret)
        )
        fields = request.form()
        return gateway.webhook_notification.parse(fields["bt_signature"], fields["bt_payload"]).kind is not None

    def change(self, request):
        fields = request.form()
        payload = fields["bt_payload"]
        middle = len(payload) // 2
        other = "B" if payload[middle] == "A" else "A"
        return request.with_form({**fields, "bt_payload": payload[:middle] + other + payload[middle + 1 :]})


class Cashfree(Provider):
    name, sdk, case = "cashfree", ("PyPI", "cashfree-pg"), "payment-success"

    def sign(self, request, secret=None, at=None):
        at = str(seconds(at) * 1000)
        signature = hmac_base64(secret or self.secret, at.encode() + request.body)
        return request.with_headers(x_webhook_timestamp=at, x_webhook_signature=signature)

    def vouch(self, request):
        library = cashfree_pg.api_client.Cashfree(XEnvironment=None, XClientId="unused", XClientSecret=self.secret)
        signature, at = request.headers["x-webhook-signature"], request.headers["x-webhook-timestamp"]
        return library.PGVerifyWebhookSignature(signature, request.text(), at) is not None


class CoinbaseCommerce(Provider):
    name, sdk, case = "coinbase-commerce", ("PyPI", "coinbase-commerce"), "charge-confirmed"
    signs = True

    def sign(self, request, secret=None, at=None):
        compute = coinbase_commerce.webhook.WebhookSignature._compute_signature
        return request.with_headers(x_cc_webhook_signature=compute(request.text(), secret or self.secret))

    def vouch(self, request):
        check = coinbase_commerce.webhook.Webhook.construct_event
        return check(request.text(), request.headers["x-cc-webhook-signature"], self.secret).type is not None


class GoCardless(Provider):
    name, sdk, case = "gocardless", ("PyPI", "gocardless_pro"), "payment-paid-out"

    def configured(self):
        return {**super().configured(), "named_secrets": {"access_token": secrets.token_hex(16)}}

    def sign(self, request, secret=None, at=None):
        return request.with_headers(webhook_signature=hmac_sha256(secret or self.secret, request.body).hexdigest())

    def vouch(self, request):
        return bool(gocardless_pro.webhooks.parse(request.body, self.secret, request.headers["webhook-signature"]))


class MercadoPago(Provider):
    name, sdk, case = "mercado-pago", ("PyPI", "mercadopago"), "merchant-order"

    def configured(self):
        return {**super().configured(), "named_secrets": {"access_token": secrets.token_hex(16)}}

    def sign(self, request, secret=None, at=None):
        at, delivery = seconds(at), str(uuid.uuid4())
        text = f"id:{request.query()['data.id']};request-id:{delivery};ts:{at};"
        signature = hmac_sha256(secret or self.secret, text).hexdigest()
        return request.with_headers(x_request_id=delivery, x_signature=f"ts={at},v1={signature}")

    def vouch(self, request):
        signature, delivery = request.headers["x-signature"], request.headers["x-request-id"]
        mercadopago.webhook.WebhookSignatureValidator.validate(signature, delivery, request.query()["data.id"], self.secret)
        return True

    def change(self, request):
        """The id in the query: it alone is signed."""
        return replace(request, path=other_digit(request.path.encode()).decode())


class PayMongo(Provider):
    name, sdk, case = "paymongo", ("PyPI", "paymongo-python"), "payment-paid"
    lacks_send = "its library wants the signatures of both modes in one header; `send` writes one"

    def sign(self, request, secret=None, at=None):
        at = seconds(at)
        signature = hmac_sha256(secret or self.secret, f"{at}.".encode() + request.body).hexdigest()
        return request.with_headers(paymongo_signature=f"t={at},te=,li={signature}")  # its library reads the live one only

    def vouch(self, request):
        """Once it has verified, its library looks for a field that events no longer have. Where it refuses, it stumbles too,
        but over something else."""
        try:
            return (
                paymongo.Webhook.construct_event(request.text(), request.headers["paymongo-signature"], self.secret)
                is not None
            )
        except KeyError as missing:
            return missing.args == ("resource",)


class Paytm(Provider):
    name, sdk, case = "paytm", ("PyPI", "paytmchecksum"), "payment-success"
    signs = True

    def invent(self):
        return secrets.token_hex(8)  # an AES key of 16 characters

    def sign(self, request, secret=None, at=None):
        fields = request.form()
        fields.pop("CHECKSUMHASH", None)
        return request.with_form(
            {**fields, "CHECKSUMHASH": PaytmChecksum.generateSignature(dict(fields), secret or self.secret)}
        )

    def vouch(self, request):
        fields = request.form()
        return PaytmChecksum.verifySignature(fields, self.secret, fields["CHECKSUMHASH"])

    def change(self, request):
        fields = request.form()
        return request.with_form({**fields, "TXNAMOUNT": other_digit(fields["TXNAMOUNT"].encode()).decode()})


class PayU(Provider):
    name, sdk, case = "payu", ("PyPI", "payu-websdk"), "payment-successful"

    def invent(self):
        return {"key": secrets.token_hex(3), "salt": secrets.token_hex(16)}

    def configured(self):
        return {"secrets": [self.secret["key"]], "named_secrets": {"salt": self.secret["salt"]}}

    def sign(self, request, secret=None, at=None):
        secret, fields = secret or self.secret, request.form()
        names = ["udf5", "udf4", "udf3", "udf2", "udf1", "email", "firstname", "productinfo", "amount", "txnid"]
        text = "|".join(
            [secret["salt"], fields["status"], *[""] * 5, *(fields.get(name, "") for name in names), secret["key"]]
        )
        if fields.get("additionalCharges"):
            text = f"{fields['additionalCharges']}|{text}"
        return request.with_form({**fields, "hash": hashlib.sha512(text.encode()).hexdigest()})

    def vouch(self, request):
        return payu.resources.hasher.validate_hash(self.secret, request.form())

    def change(self, request):
        fields = request.form()
        return request.with_form({**fields, "amount": other_digit(fields["amount"].encode()).decode()})


class PhonePe(UserAndPassword, Provider):
    name, sdk, case = "phonepe", ("PyPI", "phonepe-pg-sdk-python"), "checkout-completed"

    def sign(self, request, secret=None, at=None):
        secret = secret or self.secret
        token = hashlib.sha256(f"{secret['username']}:{secret['password']}".encode()).hexdigest()
        return request.with_headers(authorization=token)

    def vouch(self, request):
        check = (
            phonepe.sdk.pg.common.utils.hash_utils.is_callback_valid
        )  # what validate_callback asks, without its event sender
        return check(self.secret["username"], self.secret["password"], request.headers["authorization"])


class Square(Provider):
    name, sdk, case = "square", ("PyPI", "squareup"), "payment-created-completed"
    url = f"{PUBLIC_URL}/webhooks/square"

    def sign(self, request, secret=None, at=None):
        signature = hmac_base64(secret or self.secret, self.url.encode() + request.body)
        return request.with_headers(x_square_hmacsha256_signature=signature)

    def vouch(self, request):
        return square.utils.webhooks_helper.verify_signature(
            request_body=request.text(),
            signature_header=request.headers["x-square-hmacsha256-signature"],
            signature_key=self.secret,
            notification_url=self.url,
        )


PROVIDERS = [
    Adyen,
    BigCommerce,
    Braintree,
    Cashfree,
    Chargebee,
    ClerkBilling,
    ClerkBillingNode,
    CoinbaseBusiness,
    CoinbaseCommerce,
    Creem,
    Dodo,
    DodoNode,
    GoCardless,
    MercadoPago,
    MidtransSnap,
    Mollie,
    Paddle,
    PayMongo,
    Paytm,
    PayU,
    PhonePe,
    Polar,
    Razorpay,
    Shopify,
    Square,
    StandardWebhooks,
    StandardWebhooksNode,
    Stripe,
    Whop,
]

# Providers with a library of their own that cannot be asked, and why.
NOT_ASKED = {
    "midtrans": "midtrans-client (npm) does not verify: it fetches the status from Midtrans",
    "paypal": "it wants a certificate under a root of the web, which cannot be made here; its cases bring their own",
    "recurly": "its clients for Python and Node (recurly 4.79.0 and 4.81.0) do not verify webhooks",
}
