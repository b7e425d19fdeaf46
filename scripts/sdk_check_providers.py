"""The payment providers as scripts/sdk-check plays them: how each signs, what its own SDK says of a request, and the bodies
it writes. Each provider has

    name, secrets     its source in the bridge's configuration
    signature         the header that holds the signature
    max_age_secs      how old a signature may be, or None where no time is signed
    sdk               the verifier in the vendor's SDK, or None where it has none for Python
    sign(body, …)     the headers of a genuine request
    vouch(body, …)    True where that verifier believes the request; else it raises, or it is False
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from datetime import datetime, timedelta, timezone

import polar.v2026_10.webhooks
import razorpay
import standardwebhooks
import stripe
from paddle_billing.Notifications import Secret as PaddleSecret
from paddle_billing.Notifications import Verifier as PaddleVerifier
from paddle_billing.Notifications.Entities.Transaction import Transaction as PaddleTransaction

# How each signs, and what its SDK says ---------------------------------------------------------------------------------


def hmac_sha256(secret, message):
    return hmac.new(secret, message, hashlib.sha256)


class Stripe:
    name = "stripe"
    signature = "Stripe-Signature"
    max_age_secs = 300
    sdk = "stripe.Webhook.construct_event"

    def __init__(self):
        self.secrets = [f"whsec_{secrets.token_hex(16)}", f"whsec_{secrets.token_hex(16)}"]

    def sign(self, body, at=None, secret=None):
        secret = secret or self.secrets[0]
        return {
            self.signature: stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(at or time.time()))
        }

    def vouch(self, body, headers):
        header = headers.get(self.signature)
        return any_secret(
            self.secrets, lambda secret: stripe.Webhook.construct_event(body, header, secret).object == "event"
        )


class Razorpay:
    name = "razorpay"
    signature = "X-Razorpay-Signature"
    max_age_secs = None  # it signs no time
    sdk = "razorpay.Client.utility.verify_webhook_signature"

    def __init__(self):
        self.secrets = [secrets.token_urlsafe(24)]
        self.client = razorpay.Client(auth=("rzp_live_test", "unused"))

    def sign(self, body, at=None, secret=None, delivery=None):
        digest = hmac_sha256((secret or self.secrets[0]).encode(), body).hexdigest()
        return {self.signature: digest, "X-Razorpay-Event-Id": delivery or token(14)}

    def vouch(self, body, headers):
        check = self.client.utility.verify_webhook_signature
        return any_secret(self.secrets, lambda secret: check(body.decode(), headers.get(self.signature), secret))


class Polar:
    name = "polar"
    signature = "webhook-signature"
    max_age_secs = 300
    sdk = "polar.v2026_10.webhooks.validate_event"

    def __init__(self):
        self.standard = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.legacy = "polar_whs_" + secrets.token_urlsafe(32)
        self.unpadded = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        self.secrets = [self.standard, self.legacy, self.unpadded]

    def sign(self, body, at=None, secret=None, delivery=None):
        """By Standard Webhooks; secrets from before 2026-09-08 are keys as they stand."""
        secret, delivery = secret or self.standard, delivery or str(uuid.uuid4())
        at = datetime.fromtimestamp(int(at or time.time()), timezone.utc)
        key = secret if secret.startswith("whsec_") else secret.encode()
        signature = standardwebhooks.Webhook(key).sign(delivery, at, body.decode())
        return {"webhook-id": delivery, "webhook-timestamp": str(int(at.timestamp())), self.signature: signature}

    def vouch(self, body, headers):
        check = polar.v2026_10.webhooks.validate_event
        return any_secret(self.secrets, lambda secret: check(body, headers, secret).data.paid)


class Paddle:
    name = "paddle"
    signature = "Paddle-Signature"
    max_age_secs = 300
    sdk = "paddle_billing.Notifications.Verifier"

    def __init__(self):
        self.secrets = [f"pdl_ntfset_{token(26).lower()}_{secrets.token_hex(16)}"]

    def sign(self, body, at=None, secret=None):
        at = int(at or time.time())
        digest = hmac_sha256((secret or self.secrets[0]).encode(), f"{at}:".encode() + body).hexdigest()
        return {self.signature: f"ts={at};h1={digest}"}

    def vouch(self, body, headers):
        request = type("Request", (), {"headers": headers, "body": body})
        PaddleTransaction.from_dict(json.loads(body)["data"])
        return PaddleVerifier().verify(request, PaddleSecret(self.secrets[0]))


class LemonSqueezy:
    name = "lemon-squeezy"
    signature = "X-Signature"
    max_age_secs = None
    sdk = None

    def __init__(self):
        self.secrets = [secrets.token_urlsafe(18)]

    def sign(self, body, at=None, secret=None):
        digest = hmac_sha256((secret or self.secrets[0]).encode(), body).hexdigest()
        return {self.signature: digest, "X-Event-Name": json.loads(body)["meta"]["event_name"]}


class Shopify:
    name = "shopify"
    signature = "X-Shopify-Hmac-Sha256"
    max_age_secs = None
    sdk = None

    def __init__(self):
        self.secrets = [f"shpss_{secrets.token_hex(16)}"]

    def sign(self, body, at=None, secret=None, topic="orders/paid", delivery=None):
        digest = hmac_sha256((secret or self.secrets[0]).encode(), body).digest()
        return {
            self.signature: base64.b64encode(digest).decode(),
            "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": "teapots.example.com",
            "X-Shopify-API-Version": "2026-10",
            "X-Shopify-Webhook-Id": delivery or str(uuid.uuid4()),
            "X-Shopify-Event-Id": str(uuid.uuid4()),
            "X-Shopify-Triggered-At": rfc3339(datetime.now(timezone.utc)),
        }


def any_secret(candidates, is_believed):
    """As a merchant who rotates a secret would ask: True if any does, else the last refusal."""
    refusal = None
    for secret in candidates:
        try:
            if is_believed(secret):
                return True
        except Exception as error:  # each SDK has its own
            refusal = error
    if refusal:
        raise refusal
    return False


def token(length):
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(secrets.choice(alphabet) for _ in range(length))


def rfc3339(at, timespec="seconds"):
    return at.astimezone(timezone.utc).isoformat(timespec=timespec).replace("+00:00", "Z")


# The bodies, as the providers write them -------------------------------------------------------------------------------


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def stripe_event(kind, item, at, livemode=True):
    event = {
        "id": f"evt_1{token(23)}",
        "object": "event",
        "api_version": "2026-09-30.clover",
        "created": int(at.timestamp()),
        "data": {"object": item},
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    return json.dumps(event, indent=2, ensure_ascii=False).encode()  # Stripe sends it indented


def stripe_session(sale, total, mode, at, livemode=True, invoice=None, payment_intent=None, session=None):
    return stripe_event(
        "checkout.session.completed",
        {
            "id": session or f"cs_live_{token(58)}",
            "object": "checkout.session",
            "amount_subtotal": total,
            "amount_total": total,
            "client_reference_id": None,
            "created": int(at.timestamp()) - 95,
            "currency": sale.currency.lower(),
            "customer": f"cus_{token(14)}" if mode == "subscription" else None,
            "customer_details": {
                "address": {
                    "city": None,
                    "country": "US",
                    "line1": None,
                    "line2": None,
                    "postal_code": "94107",
                    "state": None,
                },
                "email": sale.email,
                "name": sale.name,
                "phone": None,
                "tax_exempt": "none",
                "tax_ids": [],
            },
            "customer_email": None,
            "invoice": invoice,
            "livemode": livemode,
            "metadata": {"clickId": sale.click, "customerExternalId": sale.customer, "plan": "team"},
            "mode": mode,
            "payment_intent": payment_intent,
            "payment_method_types": ["card", "link"],
            "payment_status": "paid",
            "status": "complete",
            "subscription": f"sub_1{token(23)}" if mode == "subscription" else None,
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        },
        at,
        livemode,
    )


def stripe_invoice(sale, total, invoice, at):
    """The first invoice of a subscription; the click stands only in the checkout session."""
    return stripe_event(
        "invoice.paid",
        {
            "id": invoice,
            "object": "invoice",
            "amount_due": total,
            "amount_paid": total,
            "amount_remaining": 0,
            "billing_reason": "subscription_create",
            "collection_method": "charge_automatically",
            "created": int(at.timestamp()),
            "currency": sale.currency.lower(),
            "customer": f"cus_{token(14)}",
            "customer_email": sale.email,
            "customer_name": sale.name,
            "metadata": {},
            "number": f"{token(8).upper()}-0001",
            "parent": {
                "quote_details": None,
                "subscription_details": {"metadata": {}, "subscription": f"sub_1{token(23)}"},
                "type": "subscription_details",
            },
            "status": "paid",
            "status_transitions": {"finalized_at": int(at.timestamp()), "paid_at": int(at.timestamp())},
            "subtotal": total,
            "total": total,
            "total_taxes": [],
        },
        at,
    )


def razorpay_event(kind, sale, amount, payment, order, at):
    """`payment.captured`, or `order.paid`, which tells of the order as well. Razorpay escapes slashes."""
    created = int(at.timestamp())
    notes = {"clickId": sale.click, "customerExternalId": sale.customer}
    payload = {
        "payment": {
            "entity": {
                "id": payment,
                "entity": "payment",
                "amount": amount,
                "currency": sale.currency,
                "base_amount": amount,
                "status": "captured",
                "order_id": order,
                "invoice_id": None,
                "international": sale.currency != "INR",
                "method": "upi",
                "amount_refunded": 0,
                "refund_status": None,
                "captured": True,
                "description": "Team plan / yearly",
                "card_id": None,
                "bank": None,
                "wallet": None,
                "vpa": "buyer@okbank",
                "email": sale.email,
                "contact": "+910000000000",
                "notes": notes,
                "fee": amount // 50,
                "tax": 0,
                "error_code": None,
                "created_at": created,
            }
        }
    }
    if kind == "order.paid":
        payload["order"] = {
            "entity": {
                "id": order,
                "entity": "order",
                "amount": amount,
                "amount_paid": amount,
                "amount_due": 0,
                "currency": sale.currency,
                "receipt": "receipt/7",
                "status": "paid",
                "attempts": 1,
                "notes": notes,
                "created_at": created,
            }
        }
    event = {
        "entity": "event",
        "account_id": "acc_TestAccount001",
        "event": kind,
        "contains": list(payload),
        "payload": payload,
        "created_at": created,
    }
    return compact(event).replace(b"/", b"\\/")


def polar_order(sale, total, tax, order, at):
    customer, organization, product = (str(uuid.uuid4()) for _ in range(3))
    when = rfc3339(at, "microseconds")
    address = {"line1": None, "line2": None, "postal_code": None, "city": None, "state": None, "country": "DE"}
    order = {
        "id": order,
        "created_at": when,
        "modified_at": when,
        "status": "paid",
        "paid": True,
        "subtotal_amount": total - tax,
        "discount_amount": 0,
        "net_amount": total - tax,
        "tax_amount": tax,
        "total_amount": total,
        "applied_balance_amount": 0,
        "due_amount": total,
        "refunded_amount": 0,
        "refunded_tax_amount": 0,
        "refundable_amount": total - tax,
        "refundable_tax_amount": tax,
        "currency": sale.currency.lower(),
        "billing_reason": "purchase",
        "billing_name": sale.name,
        "billing_address": address,
        "invoice_number": f"TEST-{token(6).upper()}-0001",
        "is_invoice_generated": False,
        "receipt_number": None,
        "units": None,
        "customer_id": customer,
        "product_id": product,
        "discount_id": None,
        "subscription_id": None,
        "checkout_id": str(uuid.uuid4()),
        "metadata": {"clickId": sale.click, "customerExternalId": sale.customer},
        "custom_field_data": {},
        "platform_fee_amount": 155,
        "platform_fee_currency": sale.currency.lower(),
        "customer": {
            "id": customer,
            "created_at": when,
            "modified_at": None,
            "metadata": {},
            "external_id": sale.customer,
            "email": sale.email,
            "email_verified": True,
            "type": "individual",
            "name": sale.name,
            "billing_name": sale.name,
            "billing_address": address,
            "tax_id": None,
            "organization_id": organization,
            "deleted_at": None,
            "first_user_event_at": None,
            "avatar_url": None,
        },
        "product": {
            "id": product,
            "created_at": when,
            "modified_at": None,
            "metadata": {},
            "trial_interval": None,
            "trial_interval_count": None,
            "name": "Lifetime licence",
            "description": None,
            "visibility": "public",
            "recurring_interval": None,
            "recurring_interval_count": None,
            "meter_interval": None,
            "meter_interval_count": None,
            "is_recurring": False,
            "is_archived": False,
            "organization_id": organization,
        },
        "discount": None,
        "subscription": None,
        "items": [],
        "description": "Lifetime licence",
    }
    return compact({"type": "order.paid", "timestamp": when, "api_version": "2026-10", "data": order})


def paddle_transaction(kind, sale, total, tax, transaction, at):
    when = rfc3339(at, "microseconds")
    net = {"subtotal": str(total - tax), "discount": "0", "tax": str(tax), "total": str(total)}
    is_completed = kind == "transaction.completed"
    data = {
        "id": transaction,
        "status": "completed" if is_completed else "paid",
        "customer_id": f"ctm_{token(26).lower()}",
        "address_id": f"add_{token(26).lower()}",
        "business_id": None,
        "custom_data": {"clickId": sale.click, "customerExternalId": sale.customer},
        "currency_code": sale.currency,
        "origin": "web",
        "subscription_id": None,
        "invoice_id": f"inv_{token(26).lower()}" if is_completed else None,
        "invoice_number": "574-10046" if is_completed else None,
        "collection_mode": "automatic",
        "discount_id": None,
        "billing_details": None,
        "billing_period": None,
        "items": [],
        "details": {
            "tax_rates_used": [{"tax_rate": "0.2", "totals": net}],
            "totals": {
                **net,
                "credit": "0",
                "balance": "0",
                "grand_total": str(total),
                "fee": "350" if is_completed else None,
                "earnings": str(total - tax - 350) if is_completed else None,
                "currency_code": sale.currency,
                "credit_to_balance": "0",
            },
            "line_items": [],
        },
        "payments": [
            {
                "payment_attempt_id": str(uuid.uuid4()),
                "payment_method_id": f"paymtd_{token(26).lower()}",
                "stored_payment_method_id": str(uuid.uuid4()),
                "amount": str(total),
                "status": "captured",
                "error_code": None,
                "method_details": {"type": "paypal", "card": None},
                "created_at": when,
                "captured_at": when,
            }
        ],
        "checkout": {"url": "https://shop.example.com/pay"},
        "created_at": when,
        "updated_at": when,
        "billed_at": when,
        "revised_at": None,
    }
    head = {"event_id": f"evt_{token(26).lower()}", "event_type": kind, "occurred_at": when}
    return compact({**head, "notification_id": f"ntf_{token(26).lower()}", "data": data})


def lemon_squeezy_event(kind, sale, total, tax, number, at, **attributes):
    when = rfc3339(at, "microseconds")
    is_order = kind.startswith("order_")
    return compact(
        {
            "meta": {
                "test_mode": False,
                "event_name": kind,
                "webhook_id": str(uuid.uuid4()),
                "custom_data": {"clickId": sale.click, "customerExternalId": sale.customer},
            },
            "data": {
                "type": "orders" if is_order else "subscription-invoices",
                "id": number,
                "attributes": {
                    "store_id": 12345,
                    "customer_id": 2345678,
                    "user_name": sale.name,
                    "user_email": sale.email,
                    "currency": sale.currency,
                    "currency_rate": "1.00000000",
                    "subtotal": total - tax,
                    "discount_total": 0,
                    "tax": tax,
                    "total": total,
                    "refunded": False,
                    "refunded_amount": 0,
                    "status": "paid",
                    "test_mode": False,
                    "created_at": when,
                    "updated_at": when,
                    **attributes,
                },
            },
        }
    )


def shopify_order(sale, total, number, at):
    when = at.astimezone(timezone(timedelta(hours=-5))).isoformat(timespec="seconds")
    first, last = sale.name.split(" ", 1)
    money = {"amount": total, "currency_code": sale.currency}
    order = {
        "id": int(number),
        "admin_graphql_api_id": f"gid://shopify/Order/{number}",
        "cancelled_at": None,
        "checkout_token": secrets.token_hex(16),
        "confirmation_number": token(9).upper(),
        "confirmed": True,
        "created_at": when,
        "currency": sale.currency,
        "current_subtotal_price": total,
        "current_total_price": total,
        "current_total_tax": "0.00",
        "customer": {"id": 8012345678901, "email": sale.email, "first_name": first, "last_name": last},
        "contact_email": sale.email,
        "email": sale.email,
        "financial_status": "paid",
        "name": "#1001",
        "note": None,
        "note_attributes": [
            {"name": "clickId", "value": sale.click},
            {"name": "customerExternalId", "value": sale.customer},
        ],
        "number": 1,
        "order_number": 1001,
        "presentment_currency": sale.currency,
        "processed_at": when,
        "source_name": "web",
        "subtotal_price": total,
        "taxes_included": False,
        "test": False,
        "token": secrets.token_hex(16),
        "total_price": total,
        "total_price_set": {"shop_money": money, "presentment_money": money},
        "total_tax": "0.00",
        "updated_at": when,
        "line_items": [{"id": 14999999999999, "quantity": 1, "price": total, "title": "Teapot", "properties": []}],
        "shipping_lines": [],
    }
    return compact(order)
