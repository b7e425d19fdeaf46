"""The checks behind scripts/sdk-check: what the vendors' own SDKs sign, the bridge believes; what they refuse, it refuses;
and what it sends on, CutMeShort's SDK understands.

A bridge runs with one source per provider and a stand-in for CutMeShort as its only upstream. Purchases are played to it
the way the providers tell of them: overlapping events, retries, forgeries. Then every POST that the stand-in received is
held against what the purchase really was. All secrets and customers are made up for this run.
"""

import argparse
import contextlib
import json
import logging
import os
import pathlib
import re
import secrets
import signal
import sys
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from cutmeshort import CMSClient
from cutmeshort.models.sale_payload import SalePayload

from sdk_check_ends import TOKEN, Bridge, Digits, Upstream, parse, wait_for
from sdk_check_providers import (
    LemonSqueezy,
    Paddle,
    Polar,
    Razorpay,
    Shopify,
    Stripe,
    lemon_squeezy_event,
    paddle_transaction,
    polar_order,
    razorpay_event,
    shopify_order,
    stripe_invoice,
    stripe_session,
    token,
)

QUIET_SECS = 1.5
WIRE_KEYS = {
    "clickId",
    "eventName",
    "customerExternalId",
    "invoiceId",
    "amount",
    "currency",
    "timestamp",
    "customerName",
    "customerEmail",
}
PAYMENT = {"checkout_completed", "payment_captured", "order_paid"}


# What is checked -------------------------------------------------------------------------------------------------------


class Report:
    """The table of checks, printed as it grows."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def section(self, title):
        print(f"\n{title}", flush=True)

    def check(self, what, fault=None, note=""):
        """One line; `fault` says what is wrong, or is empty."""
        if fault:
            self.failed += 1
            print(f"  FAILED  {what}\n          {fault}", flush=True)
        else:
            self.passed += 1
            print(f"  ok      {what}{f' ({note})' if note else ''}", flush=True)


@dataclass
class Sale:
    """One purchase, as it must arrive upstream. A field that is None must be left out."""

    about: str
    source: str
    keys: tuple  # the provider's ids that identify it; its invoice id ends with one of them
    events: set
    amount: str  # the digits on the wire
    currency: str
    customer: str
    click: str
    at: datetime
    email: str = None
    name: str = None
    is_recent: bool = True  # an older sale goes without its timestamp

    def is_named_by(self, invoice_id):
        """True where the invoice id is one of the keys, alone or behind a prefix that keeps two sources' ids apart."""
        return any(re.fullmatch(f"([a-z][a-z0-9_-]*-)?{re.escape(key)}", invoice_id) for key in self.keys)

    def fault_in(self, sent):
        """What is wrong with a parsed POST, or None."""
        expected = {
            "amount": self.amount,
            "currency": self.currency,
            "customerExternalId": self.customer,
            "clickId": self.click,
            "customerEmail": self.email,
            "customerName": self.name,
        }
        keys = {key for key, value in expected.items() if value is not None} | {"eventName", "invoiceId"}
        keys |= {"timestamp"} if self.is_recent else set()
        if set(sent) != keys:
            return f"keys missing: {sorted(keys - set(sent))}, keys too many: {sorted(set(sent) - keys)}"
        wrong = [
            f"{key} is {sent[key]!r}, not {expected[key]!r}"
            for key in expected
            if key in keys and sent[key] != expected[key]
        ]
        if type(sent["amount"]) is not Digits:
            wrong.append("amount is not a JSON number")
        if sent["eventName"] not in self.events:
            wrong.append(f"eventName is {sent['eventName']!r}, not one of {sorted(self.events)}")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", sent["invoiceId"]):
            wrong.append(f"invoiceId is {sent['invoiceId']!r}, outside [A-Za-z0-9_-]{{1,255}}")
        if self.is_recent:
            wrong += self.fault_in_time(sent["timestamp"])
        return "; ".join(wrong) or None

    def fault_in_time(self, text):
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text):
            return [f"timestamp is {text!r}, not RFC 3339 in UTC with Z"]
        if abs(datetime.fromisoformat(text) - self.at) > timedelta(seconds=1):
            return [f"timestamp is {text!r}, but the money arrived at {self.at.isoformat()}"]
        return []


# The story -------------------------------------------------------------------------------------------------------------


@dataclass
class Story:
    """Plays purchases to the bridge and keeps what must have arrived in the end."""

    bridge: Bridge
    upstream: Upstream
    report: Report
    sales: list = field(default_factory=list)
    unwanted_clicks: list = field(default_factory=list)
    requests: set = field(default_factory=set)
    unfinished: tuple = None  # a sale that must wait for one more event, and that event's body

    def expect(self, about, source, keys, events, amount, currency, at, **known):
        known.setdefault("click", f"clk-{uuid.uuid4()}")
        known.setdefault("customer", f"user_{secrets.token_hex(4)}")
        sale = Sale(about, source, keys, events, amount, currency, at=at, **known)
        self.sales.append(sale)
        return sale

    def new(self, provider, what, body, headers):
        """A request that the bridge has not seen: the SDK believes it, and so must the bridge. Returns its number."""
        fault = sdk_refusal(provider, body, headers)
        reply = self.post(provider, body, headers)
        number = reply.body.get("request")
        fault = fault or fault_in(reply, "accepted") or (None if type(number) is int else "it has no number")
        fault = fault or (f"request {number} was an earlier one" if number in self.requests else None)
        self.requests |= {number} - {None}
        self.report.check(f"{what}: {by(provider, 'believed')}", fault, f"200 accepted, request {number}")
        return number

    def again(self, provider, what, body, headers, number):
        """A request that the bridge has: it must say so, and name it."""
        fault = sdk_refusal(provider, body, headers)
        reply = self.post(provider, body, headers)
        fault = fault or fault_in(reply, "duplicate")
        if not fault and reply.body.get("request") != number:
            fault = f"it was said to be request {reply.body.get('request')}, but it is {number}"
        self.report.check(f"{what}: {by(provider, 'believed')}", fault, f"200 duplicate, request {number}")

    def forgeries(self, provider, body, headers, forge):
        """Requests that nobody may believe. `forge(sale)` writes the body of another purchase."""
        click = f"forged-{provider.name}-{uuid.uuid4()}"
        self.unwanted_clicks.append(click)
        victim = self.sales[-1]
        forged = forge(replace(victim, click=click, customer="user_forged"))
        unsigned = {name: value for name, value in provider.sign(forged).items() if name != provider.signature}
        changed = body.replace(victim.click.encode(), victim.click[::-1].encode())
        assert changed != body, "the genuine body has no click to change"
        wrong_secret = type(provider)().secrets[0]
        forgeries = [
            ("the body changed after it was signed", changed, headers),
            ("the signature of another request", forged, headers),
            ("signed with another secret", forged, provider.sign(forged, secret=wrong_secret)),
            ("not signed", forged, unsigned),
        ]
        if provider.max_age_secs:
            stale = provider.sign(forged, at=time.time() - 2 * provider.max_age_secs)
            forgeries.append((f"signed {2 * provider.max_age_secs} s ago", forged, stale))
        for what, body, headers in forgeries:
            self.refused(provider, what, body, headers)

    def refused(self, provider, what, body, headers):
        fault = None
        if provider.sdk and not sdk_refusal(provider, body, headers):
            fault = f"{provider.sdk} believes it"
        reply = self.post(provider, body, headers)
        code = reply.body.get("code")
        if reply.status != 401:
            fault = f"it was answered {reply.status} {json.dumps(reply.body)[:200]}"
        elif not reply.kind.startswith("application/problem+json"):
            fault = f"the answer is {reply.kind!r}, not application/problem+json"
        elif not isinstance(code, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", code):
            fault = f"the answer has no short code: {json.dumps(reply.body)[:200]}"
        self.report.check(f"{what}: {by(provider, 'refused')}", fault, f"401 {code}")

    def post(self, provider, body, headers):
        return self.bridge.ask("POST", f"/webhooks/{provider.name}", body, {"Content-Type": "application/json", **headers})

    def arrived(self, sale):
        return [(post, sent) for post, sent in self.upstream.sales() if sent.get("clickId") == sale.click]


def fault_in(reply, word):
    if reply.status == 200 and reply.body.get("status") == word:
        return None
    return f"it was answered {reply.status} {json.dumps(reply.body)[:200]}, not 200 with status {word!r}"


def sdk_refusal(provider, body, headers):
    """Why the vendor's SDK does not believe these very bytes and headers, or None."""
    if not provider.sdk:
        return None
    try:
        return None if provider.vouch(body, headers) else f"{provider.sdk} does not believe it"
    except Exception as error:  # each SDK has its own
        return f"{provider.sdk} does not believe it: {type(error).__name__}: {error}"


def by(provider, verdict):
    return f"{verdict} by the SDK and the bridge" if provider.sdk else verdict


def now(ago=0):
    """This second, or an earlier one, as the providers write it."""
    return datetime.fromtimestamp(int(time.time()) - ago, timezone.utc)


def play_stripe(story, provider):
    at = now()
    payment_intent, session = f"pi_3{token(23)}", f"cs_live_{token(58)}"
    sale = story.expect(
        "Stripe, one-off checkout",
        "stripe",
        (payment_intent, session),
        {"checkout_completed"},
        "49.90",
        "USD",
        at,
        email="jane@example.com",
        name="Jane Doe",
    )
    body = stripe_session(sale, 4990, "payment", at, payment_intent=payment_intent, session=session)
    headers = provider.sign(body, at=time.time() - 60)
    number = story.new(provider, "checkout.session.completed, signed by the SDK", body, headers)
    story.again(provider, "the same bytes", body, headers, number)
    story.again(provider, "the same body with a fresh timestamp and signature", body, provider.sign(body), number)
    story.forgeries(
        provider, body, headers, lambda forged: stripe_session(forged, 4990, "payment", at, payment_intent="pi_forged")
    )

    invoice = f"in_1{token(23)}"
    sale = story.expect(
        "Stripe, subscription: checkout, then invoice",
        "stripe",
        (invoice,),
        {"subscription_created"},
        "29.00",
        "EUR",
        at,
        email="zoe@example.com",
        name="Zoë Müller 茶",
    )
    body = stripe_session(sale, 2900, "subscription", at, invoice=invoice)
    both = rotated(provider.sign(body, secret=provider.secrets[0]), provider.sign(body, secret=provider.secrets[1]))
    story.new(provider, "a subscription's checkout, signed with two secrets during a rotation", body, both)
    body = stripe_invoice(sale, 2900, invoice, at)
    story.new(
        provider,
        "invoice.paid of the same invoice, signed with the second secret",
        body,
        provider.sign(body, secret=provider.secrets[1]),
    )

    unwanted = replace(sale, click=f"test-mode-{uuid.uuid4()}", customer="user_test")
    story.unwanted_clicks.append(unwanted.click)
    body = stripe_session(unwanted, 1000, "payment", at, livemode=False, payment_intent=f"pi_3{token(23)}")
    story.new(provider, "a checkout in test mode (stored, but not a sale)", body, provider.sign(body))

    invoice = f"in_1{token(23)}"
    sale = story.expect(
        "Stripe, subscription: invoice, then checkout",
        "stripe",
        (invoice,),
        {"subscription_created"},
        "1580",
        "JPY",
        at,
        email="haru@example.com",
        name='Haru O\'Neil "H"',
    )
    body = stripe_invoice(sale, 1580, invoice, at)
    story.new(provider, "invoice.paid before its checkout", body, provider.sign(body))
    story.unfinished = (sale, stripe_session(sale, 1580, "subscription", at, invoice=invoice))


def rotated(first, second):
    """Stripe's header while two secrets are active, with the test scheme that must be passed over."""
    name, one = next(iter(first.items()))
    other = second[name].split(",", 1)[1]
    return {name: f"{one.split(',', 1)[0]},{other.replace('v1=', 'v0=')},v1={'0' * 64},{one.split(',', 1)[1]},{other}"}


def play_razorpay(story, provider):
    at = now()
    for amount, digits, currency, kinds in [
        (149900, "1499.00", "INR", ("payment.captured", "order.paid")),
        (12340, "12.340", "KWD", ("order.paid", "payment.captured")),
    ]:
        payment, order = f"pay_{token(14)}", f"order_{token(14)}"
        sale = story.expect(
            f"Razorpay, {kinds[0]}, then {kinds[1]}",
            "razorpay",
            (payment,),
            PAYMENT,
            digits,
            currency,
            at,
            email="asha@example.com",
        )
        for kind in kinds:
            body = razorpay_event(kind, sale, amount, payment, order, at)
            headers = provider.sign(body)
            number = story.new(provider, f"{kind}, {digits} {currency}", body, headers)
            story.again(provider, "the same bytes", body, headers, number)
    story.forgeries(
        provider,
        body,
        headers,
        lambda forged: razorpay_event("payment.captured", forged, 99900, f"pay_{token(14)}", f"order_{token(14)}", at),
    )


def play_polar(story, provider):
    at = now()
    for what, secret in [
        ("signed by the standardwebhooks library", provider.standard),
        ("signed with an old-style secret", provider.legacy),
        ("signed with a secret that lost its base64 padding", provider.unpadded),
    ]:
        order, delivery = str(uuid.uuid4()), str(uuid.uuid4())
        sale = story.expect(
            f"Polar, {what}",
            "polar",
            (order,),
            PAYMENT,
            "22.99",
            "USD",
            at,
            email="olive@example.com",
            name="Olive Doe",
        )
        body = polar_order(sale, 2299, 399, order, at)
        headers = provider.sign(body, at=time.time() - 60, secret=secret, delivery=delivery)
        number = story.new(provider, f"order.paid, {what}", body, headers)
        story.again(provider, "the same bytes", body, headers, number)
        fresh = provider.sign(body, secret=secret, delivery=delivery)
        story.again(provider, "the same body with a fresh timestamp and signature", body, fresh, number)
    story.forgeries(provider, body, headers, lambda forged: polar_order(forged, 2299, 399, str(uuid.uuid4()), at))


def play_paddle(story, provider):
    at = now()
    transaction = f"txn_{token(26).lower()}"
    sale = story.expect(
        "Paddle, transaction.paid and transaction.completed", "paddle", (transaction,), PAYMENT, "59.99", "GBP", at
    )
    body = paddle_transaction("transaction.paid", sale, 5999, 1000, transaction, at)
    story.new(provider, "transaction.paid", body, provider.sign(body))
    body = paddle_transaction("transaction.completed", sale, 5999, 1000, transaction, at)
    headers = provider.sign(body, at=time.time() - 2)  # its SDK allows 5 s
    number = story.new(provider, "transaction.completed", body, headers)
    story.again(provider, "the same bytes", body, headers, number)
    fresh = provider.sign(body)[provider.signature]
    other = provider.sign(body, secret="pdl_ntfset_other")[provider.signature].split(";")[1]
    rotated_header = {provider.signature: fresh.replace(";", f";{other};")}
    story.again(provider, "the same body, freshly signed with two secrets", body, rotated_header, number)
    story.forgeries(
        provider,
        body,
        headers,
        lambda forged: paddle_transaction("transaction.completed", forged, 5999, 1000, f"txn_{token(26).lower()}", at),
    )


def play_lemon_squeezy(story, provider):
    number_of_order = "3104528"
    past = now(ago=2 * 86400)
    sale = story.expect(
        "Lemon Squeezy, a first order (two days old: without timestamp)",
        "lemon-squeezy",
        (number_of_order,),
        PAYMENT | {"subscription_created"},
        "9.99",
        "USD",
        past,
        email="lena@example.com",
        name="Lena Doe",
        is_recent=False,
    )
    identifier = str(uuid.uuid4())
    body = lemon_squeezy_event(
        "order_created",
        sale,
        999,
        167,
        number_of_order,
        past,
        identifier=identifier,
        order_number=1,
        first_order_item={"id": 1, "order_id": int(number_of_order), "product_name": "Pro", "price": 832, "quantity": 1},
    )
    headers = provider.sign(body)
    number = story.new(provider, "order_created", body, headers)
    story.again(provider, "the same bytes", body, headers, number)
    initial = lemon_squeezy_event(
        "subscription_payment_success",
        sale,
        999,
        167,
        "2200001",
        past,
        billing_reason="initial",
        subscription_id=501,
    )
    story.new(
        provider, "subscription_payment_success of the same purchase (not a second sale)", initial, provider.sign(initial)
    )

    at = now()
    sale = story.expect(
        "Lemon Squeezy, a renewal whose invoice has the order's number",
        "lemon-squeezy",
        (number_of_order,),
        {"subscription_renewed"},
        "9.99",
        "USD",
        at,
        email="lena@example.com",
        name="Lena Doe",
    )
    body = lemon_squeezy_event(
        "subscription_payment_success",
        sale,
        999,
        167,
        number_of_order,
        at,
        billing_reason="renewal",
        subscription_id=501,
    )
    headers = provider.sign(body)
    story.new(provider, "subscription_payment_success of a renewal", body, headers)
    story.forgeries(
        provider,
        body,
        headers,
        lambda forged: lemon_squeezy_event(
            "order_created", forged, 999, 167, "3104999", at, identifier=str(uuid.uuid4()), order_number=2
        ),
    )


def play_shopify(story, provider):
    at = now()
    number_of_order = "9007199254740993"  # 2^53 + 1: a float cannot hold it
    sale = story.expect(
        "Shopify, orders/paid and orders/updated",
        "shopify",
        (number_of_order,),
        {"order_paid"},
        "1299999.10",
        "CAD",
        at,
        email="noor@example.com",
        name="Noor de la Cruz",
    )
    body = shopify_order(sale, "1299999.10", number_of_order, at)
    headers = provider.sign(body)
    number = story.new(provider, "orders/paid", body, headers)
    story.again(provider, "the same bytes", body, headers, number)
    story.new(
        provider, "orders/updated with the same body (not a second sale)", body, provider.sign(body, topic="orders/updated")
    )
    story.forgeries(provider, body, headers, lambda forged: shopify_order(forged, "10.00", "9007199254740995", at))


# What arrived ----------------------------------------------------------------------------------------------------------


def yardstick(upstream, report):
    """CutMeShort's own client sends a sale to the stand-in: the bridge must send the same way."""
    client = CMSClient(token=TOKEN, host=upstream.url)
    client.track_sale(
        event_name="sale",
        customer_external_id="user_1",
        invoice_id="in_1",
        amount=1,
        currency="USD",
        click_id="clk-1",
        customer_name="Jane Doe",
        customer_email="jane@example.com",
        timestamp=now(),
    )
    post = upstream.posts.pop()
    is_as_documented = (post.method, post.path, post.headers["authorization"]) == ("POST", "/track/sale", f"Bearer {TOKEN}")
    fault = None if is_as_documented else f"it sent {post.method} {post.path}"
    if not fault and set(parse(post.body)) != WIRE_KEYS:
        fault = f"it sent the keys {sorted(parse(post.body))}"
    report.check("CutMeShort's own client sends POST /track/sale with these nine keys and a bearer token", fault)
    return post


def check_sale(story, sale, like):
    """Exactly one POST, sent as CutMeShort's client sends, with the right words and digits. Returns its invoice id."""
    found = story.arrived(sale)
    if len(found) != 1:
        story.report.check(sale.about, f"{len(found)} POSTs arrived, not 1: {[post.body for post, _ in found]}")
        return None
    post, sent = found[0]
    fault = sale.fault_in(sent) or fault_in_transport(post, like)
    if not fault and not sale.is_named_by(sent["invoiceId"]):
        fault = f"invoiceId {sent['invoiceId']!r} is made of none of the purchase's ids {sale.keys}"
    try:
        model = SalePayload.from_json(post.body)
        understood = model.to_dict()
        if not fault and set(understood) != set(sent):
            fault = f"CutMeShort's SalePayload understood only {sorted(understood)}"
    except Exception as error:  # pydantic's
        fault = fault or f"CutMeShort's SalePayload refuses it: {error}"
    story.report.check(
        sale.about,
        f"{fault}\n          {post.body}" if fault else None,
        f"{sent.get('eventName')} {sent.get('amount')} {sent.get('currency')}",
    )
    return sent.get("invoiceId")


def fault_in_transport(post, like):
    for what, own, theirs in [
        ("method", post.method, like.method),
        ("path", post.path, like.path),
        ("authorization", post.headers.get("authorization"), like.headers["authorization"]),
        ("content type", post.headers.get("content-type", "").split(";")[0], like.headers["content-type"].split(";")[0]),
    ]:
        if own != theirs:
            return f"{what} is {own!r}; CutMeShort's client sends {theirs!r}"
    return None


def check_listing(story):
    """What the operator is shown is what was sent."""
    listed = story.bridge.list("sales")
    fault = None if len(listed) == len(story.sales) else f"{len(listed)} sales are listed, but {len(story.sales)} were made"
    story.report.check("`sales list --json` has every sale and no other", fault)
    faults = [f"{sale.about}: {fault}" for sale in story.sales if (fault := fault_in_row(story, sale, listed))]
    story.report.check("each listed sale says what was sent", "\n          ".join(faults))


def fault_in_row(story, sale, listed):
    rows = [row for row in listed if row.get("clickId") == sale.click]
    found = story.arrived(sale)
    if len(rows) != 1 or len(found) != 1:
        return f"{len(rows)} rows and {len(found)} POSTs"
    row, sent = rows[0], found[0][1]
    wrong = [] if row.get("source") == sale.source else [f"source is {row.get('source')!r}"]
    wire_names = {"event": "eventName", "name": "customerName", "email": "customerEmail"}
    for name in ["event", "customerExternalId", "amount", "currency", "clickId", "invoiceId", "email", "name"]:
        if row.get(name) != sent.get(wire_names.get(name, name)):
            wrong.append(f"{name} is {row.get(name)!r}, but {sent.get(wire_names.get(name, name))!r} was sent")
    return "; ".join(wrong + sale.fault_in_time(row.get("timestamp", "")))


def check_rest(story, providers):
    """Nothing else was sent, stored or said."""
    expected = {sale.click for sale in story.sales}
    strays = [post.body for post, sent in story.upstream.sales() if sent.get("clickId") not in expected]
    story.report.check("no POST but those of the sales", f"{len(strays)} others: {strays}"[:600] if strays else None)
    forged = [click for click in story.unwanted_clicks if any(click in post.body for post in story.upstream.posts)]
    story.report.check("no forged or test-mode sale was sent on", f"sent: {forged}" if forged else None)
    listed = {int(row["id"]) for row in story.bridge.list("requests")}
    fault = None if listed == story.requests else f"listed {sorted(listed)}, but accepted {sorted(story.requests)}"
    story.report.check("`requests list --json` has every accepted request and no refused one", fault)
    log = story.bridge.log.read_text(errors="replace")
    private = [TOKEN, *(secret for provider in providers for secret in provider.secrets)]
    private += [value for sale in story.sales for value in (sale.email, sale.name) if value]
    leaked = sorted({value for value in private if value in log})
    story.report.check("the log names no secret and no customer", f"it holds {leaked}" if leaked else None)


def run(binary, folder):
    report = Report()
    providers = [Stripe(), Razorpay(), Polar(), Paddle(), LemonSqueezy(), Shopify()]
    plays = [play_stripe, play_razorpay, play_polar, play_paddle, play_lemon_squeezy, play_shopify]
    upstream = Upstream()
    bridge = Bridge(binary, folder, providers, upstream)
    story = Story(bridge, upstream, report)
    try:
        report.section("CutMeShort's SDK")
        like = yardstick(upstream, report)
        bridge.start()

        for provider, play in zip(providers, plays, strict=True):
            report.section(f"{provider.name} ({provider.sdk or 'its vendor has no verifier for Python'})")
            play(story, provider)
        waiting, checkout = story.unfinished

        report.section("Sales at CutMeShort")
        others = [sale for sale in story.sales if sale is not waiting]
        settle(lambda: all(story.arrived(sale) for sale in others))
        fault = (
            "it was sent before its checkout came" if any(waiting.email in post.body for post in upstream.posts) else None
        )
        report.check("a paid invoice waits for the checkout that has its click", fault)
        story.new(providers[0], "its checkout.session.completed", checkout, providers[0].sign(checkout))
        settle(lambda: story.arrived(waiting))
        time.sleep(QUIET_SECS)  # a second POST of anything would come now

        invoice_ids = [found for sale in story.sales if (found := check_sale(story, sale, like))]
        twice = sorted({found for found in invoice_ids if invoice_ids.count(found) > 1})
        report.check("no two sales share an invoice id", f"shared: {twice}" if twice else None)

        report.section("What is shown")
        check_listing(story)
        check_rest(story, providers)
    except Exception as error:
        report.check("the run came to its end", f"{type(error).__name__}: {error}")
    finally:
        bridge.stop()
        upstream.stop()
    if report.failed and bridge.log.exists():
        print("\nThe end of the bridge's log:")
        print("\n".join(bridge.log.read_text(errors="replace").splitlines()[-25:]))
    print(f"\n{report.passed + report.failed} checks, {report.failed} failed")
    return 1 if report.failed else 0


def settle(is_done):
    """Waits for what should arrive; what did not is reported sale by sale."""
    with contextlib.suppress(RuntimeError):
        wait_for(is_done, "not everything arrived")


def main():
    arguments = argparse.ArgumentParser(description="Run it as scripts/sdk-check.")
    arguments.add_argument("--binary", required=True, type=pathlib.Path, help="the bridge")
    arguments.add_argument(
        "--work", required=True, type=pathlib.Path, help="an empty folder for configuration, database and log"
    )
    given = arguments.parse_args()
    for name in list(os.environ):  # everything is on this machine, and the SDKs check as they do in production
        if name.lower().endswith("_proxy") or name in ("TEST_MODE", "SALEBRIDGE_CONFIG"):
            del os.environ[name]
    logging.disable(logging.CRITICAL)  # the SDKs' own words on each forgery
    os.environ["NO_COLOR"] = "1"  # the log is read here, not on a terminal
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    return run(given.binary.resolve(), given.work.resolve())


if __name__ == "__main__":
    sys.exit(main())
