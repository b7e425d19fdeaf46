//! Webhooks as providers send them: bodies by the vendors' documents, signatures by the pack's own scheme.

use salebridge::domain::{Headers, Request, Timestamp};
use salebridge::pack::Source;
use serde_json::{Value, json};

/// The secret of every source in tests; of a form that each provider takes.
pub(crate) const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw==";

/// The headers of a request that is signed now.
pub(crate) fn signed(source: &Source, body: &[u8], headers: &[(&str, &str)], now: Timestamp) -> Vec<(String, String)> {
    let mut all = Headers::default();
    all.add("content-type", "application/json");
    if source.pack.name() == "polar" {
        all.add("webhook-id", format!("msg_{}", body.len()));
    }
    for (name, value) in headers {
        all.set(name, *value);
    }
    let mut request = request(source, all, body, now);
    source.pack.scheme.sign(&source.keys, &mut request).unwrap();
    request.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A request to a source as the door would see it.
pub(crate) fn request(source: &Source, headers: Headers, body: &[u8], now: Timestamp) -> Request {
    Request {
        source: source.name.to_string(),
        headers,
        body: body.to_vec(),
        query: None,
        url: source.url.clone(),
        path_token: None,
        peer: None,
        received_at: now,
    }
}

/// A click and a customer as metadata.
pub(crate) fn who(click: &str, customer: &str) -> Value {
    json!({"clickId": click, "customerExternalId": customer})
}

/// A Stripe event around an object.
pub(crate) fn stripe(id: &str, kind: &str, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2025-09-30.clover", "created": 1_795_324_260, "livemode": true,
        "type": kind, "data": {"object": object}
    })
}

/// A paid one-off Checkout Session.
pub(crate) fn stripe_checkout(number: u32, metadata: &Value) -> Value {
    let object = json!({
        "id": format!("cs_live_{number}"), "object": "checkout.session", "mode": "payment", "payment_status": "paid",
        "amount_total": 4999, "currency": "usd", "customer": format!("cus_{number}"), "payment_intent": format!("pi_{number}"),
        "invoice": null, "customer_details": {"email": "jane@example.com", "name": "Jane Doe"}, "metadata": metadata,
        "total_details": {"amount_tax": 500, "amount_shipping": 250}
    });
    stripe(&format!("evt_checkout_{number}"), "checkout.session.completed", &object)
}

/// A paid Checkout Session that begins a subscription.
pub(crate) fn stripe_subscription_checkout(number: u32, metadata: &Value) -> Value {
    let mut event = stripe_checkout(number, metadata);
    let object = &mut event["data"]["object"];
    object["mode"] = "subscription".into();
    object["payment_intent"] = Value::Null;
    object["invoice"] = format!("in_{number}").into();
    event
}

/// A paid invoice of a subscription; its metadata is the subscription's.
pub(crate) fn stripe_invoice(number: u32, customer: u32, reason: &str, metadata: &Value) -> Value {
    let object = json!({
        "id": format!("in_{number}"), "object": "invoice", "billing_reason": reason, "amount_paid": 4999, "currency": "usd",
        "customer": format!("cus_{customer}"), "customer_email": "jane@example.com", "customer_name": "Jane Doe", "metadata": {},
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1", "metadata": metadata}}
    });
    stripe(&format!("evt_invoice_{number}"), "invoice.paid", &object)
}

/// A Razorpay event about one payment, and its order where the event holds it.
pub(crate) fn razorpay(event: &str, payment: &str, notes: &Value, order_notes: Option<&Value>) -> Value {
    let mut body = json!({
        "entity": "event", "account_id": "acc_1", "event": event, "contains": ["payment"], "created_at": 1_795_324_260,
        "payload": {"payment": {"entity": {
            "id": payment, "entity": "payment", "amount": 149_900, "currency": "INR", "status": "captured", "captured": true,
            "order_id": "order_1", "customer_id": "cust_1", "email": "jane@example.com", "notes": notes, "created_at": 1_795_324_250
        }}}
    });
    if let Some(order_notes) = order_notes {
        body["payload"]["order"] = json!({"entity": {"id": "order_1", "amount": 149_900, "amount_paid": 149_900, "status": "paid", "notes": order_notes}});
    }
    body
}

/// A paid Shopify order of 25.00 USD, as its topic `orders/paid` tells it.
pub(crate) fn shopify_order(number: u32, at: i64, metadata: &Value) -> Value {
    let at = Timestamp::from_second(at).unwrap().to_string();
    let attributes = metadata.as_object().into_iter().flatten().map(|(name, value)| json!({"name": name, "value": value}));
    let money = json!({"amount": "25.00", "currency_code": "USD"});
    json!({
        "id": number, "financial_status": "paid", "test": false, "confirmed": true, "currency": "USD", "presentment_currency": "USD",
        "total_price": "25.00", "total_tax": "0.00", "total_price_set": {"shop_money": money, "presentment_money": money},
        "note_attributes": attributes.collect::<Vec<_>>(), "customer": null, "refunds": [], "created_at": at, "processed_at": at,
        "updated_at": at
    })
}

/// A refund of so many cents of a Shopify order, as `refunds/create` tells it.
pub(crate) fn shopify_refund(number: u32, order: &str, at: i64, amount: i64) -> Value {
    let at = Timestamp::from_second(at).unwrap().to_string();
    let order: i64 = order.parse().unwrap();
    let transaction = json!({"id": 7_000 + number, "order_id": order, "kind": "refund", "status": "success", "test": false,
        "amount": format!("{}.{:02}", amount / 100, amount % 100), "currency": "USD"});
    json!({"id": number, "order_id": order, "created_at": at, "processed_at": at, "transactions": [transaction]})
}
