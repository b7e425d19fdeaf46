//! Money, one line a row: every currency in every form, each provider's exception, taxes, and the two currencies of one payment.

use salebridge::domain::{Currency, Meaning, Timestamp};
use salebridge::map::RequestView;
use salebridge::pack::{Circumstances, Registry, Source};
use serde_json::{Value, json};

use crate::harness::desk::{Desk, fixture};
use crate::harness::{START, webhooks};

/// Every currency of ISO 4217 that has a minor unit.
fn currencies() -> Vec<Currency> {
    let letters = || b'A'..=b'Z';
    let codes = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
    codes.filter_map(|code| Currency::from_code(std::str::from_utf8(&code).ok()?)).collect()
}

/// What the mapping makes of a body: amount, currency and proof, or the code of the reason.
fn mapped(source: &Source, body: &str) -> Result<(String, String, String), String> {
    let now: Timestamp = START.parse().unwrap();
    let request = webhooks::request(source, salebridge::domain::Headers::default(), body.as_bytes(), now);
    let events = source.mapping.map(RequestView { id: 1, request: &request, answers: &[] });
    match &events[0].meaning {
        Meaning::Sale(claim) => {
            let money = claim.money;
            Ok((money.to_major(), money.currency.code().to_owned(), claim.proof.in_words(money)))
        }
        Meaning::Ignored(reason) | Meaning::Parked(reason) => Err(reason.code.to_string()),
        other @ (Meaning::Adjustment(_) | Meaning::Lacking(_)) => panic!("{other:?}"),
    }
}

#[test]
fn every_currency_round_trips_in_every_form() {
    let (sources, _) = fixture("money", "");
    let source = &sources["money"];
    let all = currencies();
    assert!(all.len() > 150, "{}", all.len());
    let exponents: std::collections::BTreeSet<u8> = all.iter().map(|currency| currency.exponent()).collect();
    assert_eq!(exponents.into_iter().collect::<Vec<_>>(), [0, 2, 3, 4], "no exponent is forgotten");
    for currency in all {
        let (code, exponent) = (currency.code(), usize::from(currency.exponent()));
        for minor in ["1", "10", "999", "123456789", "9223372036854775807"] {
            let digits = format!("{minor:0>width$}", width = exponent + 1);
            let (whole, fraction) = digits.split_at(digits.len() - exponent);
            let major = if exponent == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") };
            let trimmed =
                if exponent == 0 { whole.to_owned() } else { major.trim_end_matches('0').trim_end_matches('.').to_owned() };
            for (kind, amount) in [
                ("minor", minor.to_owned()),
                ("minor", format!("\"{minor}\"")),
                ("minor", format!("\"{minor}.00\"")),
                ("major", major.clone()),
                ("major", format!("\"{major}\"")),
                ("major", trimmed.clone()),
                ("major", format!("\"{trimmed}\"")),
            ] {
                for cur in [code.to_owned(), code.to_ascii_lowercase()] {
                    let body = format!(r#"{{"type":"{kind}","pay":"p","amount":{amount},"cur":"{cur}"}}"#);
                    let proof = format!("{minor} total = {minor} {code}");
                    assert_eq!(mapped(source, &body), Ok((major.clone(), code.to_owned(), proof)), "{body}");
                }
            }
        }
        // One decimal more than the currency has is never rounded.
        let body = format!(r#"{{"type":"major","pay":"p","amount":0.{}1,"cur":"{code}"}}"#, "0".repeat(exponent));
        assert_eq!(mapped(source, &body), Err("amount_too_precise".to_owned()), "{body}");
    }
}

#[test]
fn each_provider_s_exception_is_read_as_the_provider_means_it() {
    let packs = Registry::load(&[]).unwrap();
    let source = |name: &str| {
        let pack = packs.get(name).unwrap();
        let secret = if name == "adyen" { "00112233445566778899AABBCCDDEEFF" } else { webhooks::SECRET };
        let unnamed = vec![salebridge::domain::Secret::new(secret)];
        let named = pack.scheme.named_secrets().into_iter().map(|name| (name, salebridge::domain::Secret::new("00")));
        let secrets = salebridge::verify::Secrets { unnamed, named: named.collect(), ..Default::default() };
        Source::plain(pack, Circumstances { secrets, ..Default::default() }).unwrap_or_else(|fault| panic!("{name}: {fault}"))
    };
    let stripe = |amount: &str, cur: &str| {
        let mut event = webhooks::stripe_checkout(1, &json!({}));
        event["data"]["object"]["amount_total"] = serde_json::from_str(amount).unwrap();
        event["data"]["object"]["currency"] = cur.into();
        event.to_string()
    };
    let adyen = |amount: &str, cur: &str| {
        json!({"live": "true", "notificationItems": [{"NotificationRequestItem": {
            "eventCode": "AUTHORISATION", "success": "true", "pspReference": "PSP1", "merchantAccountCode": "M", "merchantReference": "r",
            "eventDate": "2026-11-22T06:11:00+01:00", "amount": {"currency": cur, "value": serde_json::from_str::<Value>(amount).unwrap()}}}]})
        .to_string()
    };
    let razorpay = |amount: &str, cur: &str| {
        let mut event = webhooks::razorpay("payment.captured", "pay_1", &json!([]), None);
        let payment = &mut event["payload"]["payment"]["entity"];
        payment["amount"] = serde_json::from_str(amount).unwrap();
        payment["currency"] = cur.into();
        event.to_string()
    };
    // pack, on the wire, currency, in major units
    type Body<'a> = &'a dyn Fn(&str, &str) -> String;
    let rows: [(&str, Body<'_>, &str, &str, &str); 22] = [
        ("stripe", &stripe, "4999", "usd", "49.99"),
        ("stripe", &stripe, "1580", "jpy", "1580"),
        ("stripe", &stripe, "1580", "clp", "1580"),
        ("stripe", &stripe, "1580", "krw", "1580"),
        ("stripe", &stripe, "158000", "isk", "1580"),
        ("stripe", &stripe, "158050", "isk", "amount_too_precise"),
        ("stripe", &stripe, "158000", "ugx", "1580"),
        ("stripe", &stripe, "1580", "mga", "1580.00"),
        ("stripe", &stripe, "12340", "kwd", "12.340"),
        ("stripe", &stripe, "12340", "bhd", "12.340"),
        ("adyen", &adyen, "4999", "EUR", "49.99"),
        ("adyen", &adyen, "1580", "JPY", "1580"),
        ("adyen", &adyen, "158000", "CLP", "1580"),
        ("adyen", &adyen, "158050", "CLP", "amount_too_precise"),
        ("adyen", &adyen, "1580", "CVE", "1580.00"),
        ("adyen", &adyen, "158000", "ISK", "1580"),
        ("adyen", &adyen, "1580", "UGX", "1580"),
        ("adyen", &adyen, "1580", "IDR", "1580.00"),
        ("adyen", &adyen, "12340", "KWD", "12.340"),
        ("razorpay", &razorpay, "149900", "INR", "1499.00"),
        ("razorpay", &razorpay, "1580", "JPY", "1580"),
        ("razorpay", &razorpay, "12340", "KWD", "12.340"),
    ];
    for (pack, body, wire, currency, wanted) in rows {
        let found = mapped(&source(pack), &body(wire, currency)).map_or_else(|code| code, |(major, _, _)| major);
        assert_eq!(found, wanted, "{pack}: {wire} {currency}");
    }
}

#[test]
fn taxes_and_two_currencies_are_counted_as_the_source_wants() {
    let sale = |more: Value| {
        let mut body = json!({"type": "minor", "pay": "p", "amount": 11900, "cur": "EUR"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let taxed = || json!({"tax": 1900, "shipping": "500"});
    let shown = || json!({"tax": 1900, "shown": {"amount": 1_900_000, "cur": "JPY", "tax": 300_000}});
    let (gross, net, netter) = ("", "amount = \"net_of_tax\"", "amount = \"net_of_tax_and_shipping\"");
    // settings of the source, what the event says besides 11900 EUR, what counts, how
    for (settings, more, wanted, proof) in [
        (gross, json!({}), "119.00 EUR", "11900 total = 11900 EUR"),
        (gross, taxed(), "119.00 EUR", "11900 total = 11900 EUR"),
        (net, taxed(), "100.00 EUR", "11900 total − 1900 tax = 10000 EUR"),
        (netter, taxed(), "95.00 EUR", "11900 total − 1900 tax − 500 shipping = 9500 EUR"),
        (net, json!({"taxes": [{"amount": 1000}, {"amount": 900}]}), "100.00 EUR", "11900 total − 1900 tax = 10000 EUR"),
        (net, json!({"tax": 0}), "119.00 EUR", "11900 total − 0 tax = 11900 EUR"),
        (net, json!({}), "119.00 EUR", "11900 total = 11900 EUR (tax is not stated)"),
        (netter, json!({"tax": 1900}), "100.00 EUR", "11900 total − 1900 tax = 10000 EUR (shipping is not stated)"),
        (net, json!({"tax": 11900}), "zero_amount", ""),
        (net, json!({"tax": 11901}), "negative_amount", ""),
        (net, json!({"tax": "nineteen"}), "amount_malformed", ""),
        (gross, shown(), "119.00 EUR", "11900 total = 11900 EUR"),
        ("money = \"settlement\"", shown(), "119.00 EUR", "11900 total = 11900 EUR"),
        ("money = \"presentment\"", shown(), "1900000 JPY", "1900000 total = 1900000 JPY"),
        ("money = \"presentment\"\namount = \"net_of_tax\"", shown(), "1600000 JPY", "1900000 total − 300000 tax = 1600000 JPY"),
        ("money = \"presentment\"", json!({}), "119.00 EUR", "11900 total = 11900 EUR"),
        ("money = \"presentment\"", json!({"shown": {"amount": "many", "cur": "JPY"}}), "amount_malformed", ""),
        (gross, json!({"shown": {"amount": "many", "cur": "JPY"}}), "119.00 EUR", "11900 total = 11900 EUR"),
        (
            "money = \"settlement\"",
            json!({"type": "major", "amount": "119", "paid": {"amount": "99.5", "cur": "USD"}}),
            "99.50 USD",
            "9950 total = 9950 USD",
        ),
        (
            gross,
            json!({"type": "major", "amount": "119", "paid": {"amount": "99.5", "cur": "USD"}}),
            "119.00 EUR",
            "11900 total = 11900 EUR",
        ),
        (gross, json!({"type": "sum", "parts": [100, "200", 3]}), "3.03 EUR", "303 total = 303 EUR"),
    ] {
        let (sources, _) = fixture("money", settings);
        let found = mapped(&sources["money"], &sale(more.clone()));
        let (money, words) =
            found.map_or_else(|code| (code, String::new()), |(major, code, proof)| (format!("{major} {code}"), proof));
        assert_eq!((money.as_str(), words.as_str()), (wanted, proof), "{settings} {more}");
    }
}

#[actix_web::test]
async fn both_currencies_are_kept_with_the_sale_and_the_proof_is_data() {
    let desk = Desk::of_money("amount = \"net_of_tax\"");
    let body = json!({"type": "minor", "pay": "p", "amount": "11900", "cur": "EUR", "tax": "1900", "shown": {"amount": 12000, "cur": "USD"},
        "at": "2026-11-22T05:10:00Z", "meta": {"customerExternalId": "u"}});
    desk.hears("money", &body).await;
    let sale = desk.sale();
    assert_eq!((sale.event["amount"].to_string().as_str(), sale.event["currency"].as_str()), ("100.00", Some("EUR")));
    assert_eq!(sale.proof, "11900 total − 1900 tax = 10000 EUR");
    assert_eq!(
        sale.amounts,
        json!({
            "parts": [
                {"what": "total", "minor": 11900, "written": "11900", "path": "$.amount"},
                {"what": "tax", "minor": -1900, "written": "1900", "path": "$.tax"},
            ],
            "currency_path": "$.cur",
            "other": {"side": "presentment", "minor": 12000, "currency": "USD", "path": "$.shown.amount"},
        })
    );
    let from = |path: &str| json!({"from": "request", "request": 1, "path": path});
    let untold =
        |what: &str| json!({"from": "nowhere", "code": "not_told", "reason": format!("no event of this sale carried {what}")});
    let no_click = "no event of this sale carried a clickId, and none is remembered for its customer";
    assert_eq!(
        Value::Object(sale.trail),
        json!({
            "event": {"from": "request", "request": 1, "type": "minor"},
            "customerExternalId": from("$.meta['customerExternalId']"),
            "amount": from("$.amount"),
            "currency": from("$.cur"),
            "clickId": {"from": "nowhere", "code": "click_unknown", "reason": no_click},
            "invoiceId": {"from": "key", "kind": "payment"},
            "timestamp": from("$.at"),
            "email": untold("an e-mail address"),
            "name": untold("a name"),
        })
    );
}
