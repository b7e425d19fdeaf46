//! The ledger against its history: random purchases, renewals, refunds and disputes at several providers, told by webhooks that are
//! repeated, reordered, delayed and interrupted. The ledger ends with the history: the same sales, amounts and balances, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use salebridge::attribute::Rules;
use salebridge::domain::DeliveryState;
use salebridge::store::{DeliveryView, SaleView};
use serde_json::{Value, json};

use crate::harness::desk::{Desk, configured};
use crate::harness::webhooks::{
    razorpay, shopify_order, shopify_refund, stripe, stripe_checkout, stripe_invoice, stripe_subscription_checkout, who,
};

/// When the first thing happens, in seconds since 1970: that of the harness.
const BEGIN: i64 = 1_795_324_260;
/// The waiting room.
const ROOM_SECS: i64 = 60;
const HOUR: i64 = 3600;

type Configured = (std::sync::Arc<std::collections::HashMap<String, std::sync::Arc<salebridge::pack::Source>>>, Rules);

/// Packs are compiled once.
static CONFIGURED: LazyLock<Configured> = LazyLock::new(|| configured(BACKEND));

/// An upstream that can be told of money that went back, and of money that came back after all.
const BACKEND: &str = "[[upstreams]]\nname = \"backend\"\ntemplate = \"webhook\"\nbase_url = \"http://127.0.0.1:9\"\n\
                       signing_secrets = [\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"]\n";

/// A thing that happens at its hour.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// A customer pays once, at Stripe, Razorpay or Shopify; with a click or without.
    Buys { customer: u8, provider: Provider, clicks: bool, is_named: bool },
    /// A customer subscribes at Stripe.
    Subscribes { customer: u8, clicks: bool },
    /// The first subscription of a customer renews, or one that began before the bridge.
    Renews { customer: u8 },
    /// So many cents of the n-th sale go back.
    Refunds { sale: u8, share: u8, fails: bool },
    /// The n-th sale is disputed for all that is left, with this end.
    Disputes { sale: u8, end: End },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    Stripe,
    Razorpay,
    Shopify,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Open,
    Won,
    Lost,
}

/// A sale as it truly was.
#[derive(Debug, Clone)]
struct Truth {
    invoice_id: String,
    provider: Provider,
    /// The id by which refunds name it.
    payment: String,
    at: i64,
    total: i64,
    refunded: i64,
    disputed: i64,
    customer: Option<String>,
    /// The click that its own events tell.
    click: Option<String>,
    renewal: bool,
}

/// A webhook, and when its provider would send it.
#[derive(Debug, Clone)]
struct Hook {
    at: i64,
    source: &'static str,
    /// What the provider says in a header.
    topic: Option<&'static str>,
    body: Value,
    /// The sale that it tells of as one purchase; refunds and disputes come when they like.
    purchase: Option<usize>,
}

#[derive(Debug, Default)]
struct History {
    sales: Vec<Truth>,
    hooks: Vec<Hook>,
    /// Every click of each customer, oldest first.
    clicks: BTreeMap<String, Vec<(i64, String)>>,
    refunded_so_far: BTreeMap<usize, i64>,
}

impl History {
    fn of(deeds: &[Deed]) -> Self {
        let mut history = Self::default();
        for (number, deed) in deeds.iter().enumerate() {
            history.does(u32::try_from(number + 1).unwrap(), BEGIN + HOUR * i64::try_from(number).unwrap(), *deed);
        }
        // Who renews, is known if any event at Stripe ever says so, sooner or later.
        let named: BTreeSet<String> = history
            .sales
            .iter()
            .filter(|sale| sale.provider == Provider::Stripe && !sale.renewal)
            .filter_map(|sale| sale.customer.clone())
            .collect();
        for sale in history.sales.iter_mut().filter(|sale| sale.renewal) {
            sale.customer = sale.customer.take().filter(|name| named.contains(name));
        }
        history
    }

    fn does(&mut self, number: u32, at: i64, deed: Deed) {
        match deed {
            Deed::Buys { customer, provider, clicks, is_named } => {
                let (click, name) = self.clicks_of(number, at, customer, clicks, is_named);
                let metadata = metadata(click.as_deref(), name.as_deref());
                let (payment, total) = self.tell_purchase(number, at, customer, provider, &metadata);
                let invoice_id = match provider {
                    Provider::Shopify => format!("shopify-{payment}"),
                    Provider::Stripe | Provider::Razorpay => payment.clone(),
                };
                self.sell(invoice_id, provider, payment, at, total, name, click, false);
            }
            Deed::Subscribes { customer, clicks } => {
                let (click, name) = self.clicks_of(number, at, customer, clicks, true);
                let mut checkout = stripe_subscription_checkout(number, &metadata(click.as_deref(), name.as_deref()));
                checkout["data"]["object"]["customer"] = format!("cus_{customer}").into();
                let invoice = stripe_invoice(number, customer.into(), "subscription_create", &json!({}));
                self.hook(at, "stripe", checkout);
                self.hook(at + 1, "stripe", invoice);
                self.tie(number, at + 2);
                self.sell(format!("in_{number}"), Provider::Stripe, format!("pi_{number}"), at + 1, 4999, name, click, false);
            }
            Deed::Renews { customer } => {
                let invoice = stripe_invoice(number, customer.into(), "subscription_cycle", &json!({}));
                self.hook(at, "stripe", invoice);
                self.tie(number, at + 1);
                let name = Some(format!("user_{customer}"));
                self.sell(format!("in_{number}"), Provider::Stripe, format!("pi_{number}"), at, 4999, name, None, true);
            }
            Deed::Refunds { sale, share, fails } => self.refund(number, at, sale, share, fails),
            Deed::Disputes { sale, end } => self.dispute(number, at, sale, end),
        }
    }

    /// The click and the name that this purchase tells. An unnamed buyer tells neither.
    fn clicks_of(
        &mut self,
        number: u32,
        at: i64,
        customer: u8,
        clicks: bool,
        is_named: bool,
    ) -> (Option<String>, Option<String>) {
        let name = is_named.then(|| format!("user_{customer}"));
        let click = (clicks && is_named).then(|| format!("c-{number}"));
        if let (Some(name), Some(click)) = (&name, &click) {
            self.clicks.entry(name.clone()).or_default().push((at, click.clone()));
        }
        (click, name)
    }

    fn tell_purchase(&mut self, number: u32, at: i64, customer: u8, provider: Provider, metadata: &Value) -> (String, i64) {
        match provider {
            Provider::Stripe => {
                let mut checkout = stripe_checkout(number, metadata);
                // Every buyer without a name is a guest of the shop.
                let is_guest = metadata == &json!({});
                checkout["data"]["object"]["customer"] = if is_guest { Value::Null } else { format!("cus_{customer}").into() };
                self.hook(at, "stripe", checkout);
                (format!("pi_{number}"), 4999)
            }
            Provider::Razorpay => {
                let payment = format!("pay_{number}");
                let dated = |mut event: Value, at: i64| {
                    event["payload"]["payment"]["entity"]["customer_id"] = Value::Null;
                    event["created_at"] = at.into();
                    event
                };
                self.hook(at, "razorpay", dated(razorpay("payment.captured", &payment, &json!([]), None), at));
                self.hook(at + 1, "razorpay", dated(razorpay("order.paid", &payment, &json!([]), Some(metadata)), at + 1));
                (payment, 149_900)
            }
            Provider::Shopify => {
                self.hook(at, "shopify", shopify_order(number, at, metadata));
                (format!("{number}"), 2500)
            }
        }
    }

    /// The event that ties an invoice to its payment.
    fn tie(&mut self, number: u32, at: i64) {
        let paid = json!({"id": format!("inpay_{number}"), "object": "invoice_payment", "invoice": format!("in_{number}"),
            "payment": {"type": "payment_intent", "payment_intent": format!("pi_{number}")}});
        self.hook(at, "stripe", stripe(&format!("evt_tie_{number}"), "invoice_payment.paid", &paid));
    }

    #[expect(clippy::too_many_arguments, reason = "a truth has as many sides")]
    fn sell(
        &mut self,
        invoice_id: String,
        provider: Provider,
        payment: String,
        at: i64,
        total: i64,
        customer: Option<String>,
        click: Option<String>,
        renewal: bool,
    ) {
        let sale = self.sales.len();
        for hook in self.hooks.iter_mut().rev().take_while(|hook| hook.purchase.is_none() && hook.at >= at - 2) {
            hook.purchase = Some(sale);
        }
        self.sales.push(Truth { invoice_id, provider, payment, at, total, refunded: 0, disputed: 0, customer, click, renewal });
    }

    fn refund(&mut self, number: u32, at: i64, sale: u8, share: u8, fails: bool) {
        let Some((index, left)) = self.open_sale(sale) else { return };
        let amount = (left * i64::from(share) / 100).max(1);
        if !fails {
            self.sales[index].refunded += amount;
        }
        let so_far = self.refunded_so_far.entry(index).or_default();
        *so_far += amount;
        let (so_far, payment, id) = (*so_far, self.sales[index].payment.clone(), format!("re_{number}"));
        if fails {
            *self.refunded_so_far.get_mut(&index).unwrap() -= amount;
        }
        match self.sales[index].provider {
            Provider::Stripe => {
                let refund = |status: &str| {
                    json!({"id": id, "object": "refund", "amount": amount, "currency": "usd", "status": status,
                    "payment_intent": payment, "balance_transaction": "txn_1"})
                };
                let charge = json!({"id": format!("ch_{payment}"), "object": "charge", "captured": true, "amount_refunded": so_far,
                    "currency": "usd", "payment_intent": payment});
                self.hook(at, "stripe", stripe(&format!("evt_re_{number}"), "refund.created", &refund("succeeded")));
                self.hook(at, "stripe", stripe(&format!("evt_ch_{number}"), "charge.refunded", &charge));
                if fails {
                    self.hook(at + 60, "stripe", stripe(&format!("evt_ref_{number}"), "refund.failed", &refund("failed")));
                }
            }
            Provider::Razorpay => {
                let refund = |event: &str, status: &str, at: i64| {
                    let mut body = razorpay(event, &payment, &json!([]), None);
                    body["created_at"] = at.into();
                    body["payload"]["refund"] = json!({"entity": {"id": id, "entity": "refund", "amount": amount, "currency": "INR",
                        "payment_id": payment, "status": status, "created_at": at}});
                    body
                };
                self.hook(at, "razorpay", refund("refund.created", "pending", at));
                if fails {
                    self.hook(at + 60, "razorpay", refund("refund.failed", "failed", at + 60));
                } else {
                    self.hook(at + 60, "razorpay", refund("refund.processed", "processed", at + 60));
                }
            }
            Provider::Shopify => {
                if fails {
                    self.sales[index].refunded += amount; // what Shopify tells of is done
                }
                self.hook(at, "shopify", shopify_refund(number, &payment, at, amount));
            }
        }
    }

    fn dispute(&mut self, number: u32, at: i64, sale: u8, end: End) {
        let Some((index, left)) = self.open_sale(sale) else { return };
        let (payment, id) = (self.sales[index].payment.clone(), format!("dp_{number}"));
        let states: &[(&str, i64)] = match end {
            End::Open => &[("needs_response", 0)],
            End::Won => &[("needs_response", 0), ("won", 600)],
            End::Lost => &[("needs_response", 0), ("lost", 600)],
        };
        match self.sales[index].provider {
            Provider::Stripe => {
                for (state, later) in states {
                    let dispute = json!({"id": id, "object": "dispute", "amount": left, "currency": "usd", "status": state,
                        "payment_intent": payment, "balance_transactions": [{"id": "txn_1"}]});
                    let kind = if *later == 0 { "charge.dispute.created" } else { "charge.dispute.closed" };
                    self.hook(at + later, "stripe", stripe(&format!("evt_dp_{number}_{later}"), kind, &dispute));
                }
            }
            Provider::Razorpay => {
                for (state, later) in states {
                    let event = match *state {
                        "won" => "payment.dispute.won",
                        "lost" => "payment.dispute.lost",
                        _ => "payment.dispute.created",
                    };
                    let mut body = razorpay(event, &payment, &json!([]), None);
                    let deducted = if *state == "lost" { left } else { 0 };
                    body["created_at"] = (at + later).into();
                    body["payload"]["dispute"] = json!({"entity": {"id": id, "entity": "dispute", "payment_id": payment, "amount": left,
                        "currency": "INR", "amount_deducted": deducted, "phase": "chargeback", "status": state, "created_at": at}});
                    self.hook(at + later, "razorpay", body);
                }
            }
            Provider::Shopify => return, // its disputes are told of in the pack's own cases
        }
        if !matches!(end, End::Won) {
            self.sales[index].disputed += left;
        }
    }

    /// The n-th sale, if something is left of it.
    fn open_sale(&self, number: u8) -> Option<(usize, i64)> {
        let index = usize::from(number).checked_rem(self.sales.len())?;
        let sale = &self.sales[index];
        let left = sale.total - sale.refunded - sale.disputed;
        (left > 0).then_some((index, left))
    }

    fn hook(&mut self, at: i64, source: &'static str, mut body: Value) {
        if source == "stripe" {
            body["created"] = at.into();
        }
        let topic = match (source, body["transactions"].is_array()) {
            ("shopify", true) => Some("refunds/create"),
            ("shopify", false) => Some("orders/paid"),
            _ => None,
        };
        self.hooks.push(Hook { at, source, topic, body, purchase: None });
    }

    /// The newest click of a sale's customer that the ledger may know when it is told everything in time.
    fn click_of<'a>(&'a self, sale: &'a Truth) -> Option<&'a str> {
        if let Some(click) = &sale.click {
            return Some(click);
        }
        let clicks = self.clicks.get(sale.customer.as_ref()?)?;
        clicks.iter().rev().find(|(at, _)| *at <= sale.at + ROOM_SECS).map(|(_, click)| click.as_str())
    }
}

fn metadata(click: Option<&str>, name: Option<&str>) -> Value {
    match (click, name) {
        (Some(click), Some(name)) => who(click, name),
        (None, Some(name)) => json!({"customerExternalId": name}),
        (_, None) => json!({}),
    }
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let provider = prop_oneof![Just(Provider::Stripe), Just(Provider::Razorpay), Just(Provider::Shopify)];
    let end = prop_oneof![Just(End::Open), Just(End::Won), Just(End::Lost)];
    let deed = prop_oneof![
        4 => (0_u8..3, provider, any::<bool>(), prop::bool::weighted(0.85))
            .prop_map(|(customer, provider, clicks, is_named)| Deed::Buys { customer, provider, clicks, is_named }),
        2 => (0_u8..3, any::<bool>()).prop_map(|(customer, clicks)| Deed::Subscribes { customer, clicks }),
        2 => (0_u8..3).prop_map(|customer| Deed::Renews { customer }),
        3 => (any::<u8>(), 1_u8..=100, prop::bool::weighted(0.2)).prop_map(|(sale, share, fails)| Deed::Refunds { sale, share, fails }),
        2 => (any::<u8>(), end).prop_map(|(sale, end)| Deed::Disputes { sale, end }),
    ];
    prop::collection::vec(deed, 1..9)
}

/// A step of the world as the bridge sees it.
#[derive(Debug, Clone, Copy)]
enum Step {
    Arrives(usize),
    Settles,
    Sends,
    Restarts,
}

/// Lets the world happen; answers with the desk at its end. `moment` says when a hook arrives, in seconds since 1970.
async fn lives(history: &History, steps: &[(i64, Step)]) -> Desk {
    let mut desk = Desk::new(CONFIGURED.clone());
    for (at, step) in steps {
        let at = salebridge::domain::Timestamp::from_second(*at).unwrap();
        if at > desk.now {
            desk.now = at;
        }
        match step {
            Step::Arrives(hook) => {
                let Hook { source, topic, body, .. } = &history.hooks[*hook];
                let headers: Vec<(&str, &str)> = topic.iter().map(|topic| ("X-Shopify-Topic", *topic)).collect();
                desk.receives(source, body, &headers).await;
            }
            Step::Settles => desk.settles().await,
            Step::Sends => {
                desk.settles().await;
                desk.sends().await;
            }
            Step::Restarts => desk.restart(),
        }
    }
    desk.settles().await;
    desk.passes(Duration::from_secs(ROOM_SECS as u64 + 1)).await;
    while !desk.sends().await.is_empty() {}
    desk
}

/// The upstream that can be told of money that went back was told of all of it, step by step, and of nothing else.
fn agrees_on_what_was_told(sales: &[SaleView]) {
    let cents = |value: &Value| value.to_string().replace('.', "").parse::<i64>().unwrap();
    for sale in sales {
        let of_own = |delivery: &&DeliveryView| delivery.upstream == "backend";
        let accepted = sale.deliveries.iter().filter(of_own).filter(|delivery| delivery.state != DeliveryState::Withdrawn);
        let steps: Vec<_> = accepted.filter_map(|delivery| delivery.adjustment.as_ref()).collect();
        let is_sent =
            sale.deliveries.iter().filter(of_own).any(|delivery| delivery.kind == "sale" && delivery.state.is_accepted());
        let told: i64 = steps.iter().map(|step| cents(&step.amount)).sum();
        assert_eq!(told, if is_sent { cents(&sale.balance.taken_back) } else { 0 }, "{sale:#?}");
        let mut so_far = 0;
        for step in steps {
            so_far += cents(&step.amount);
            assert_eq!(so_far, cents(&step.taken_back), "{sale:#?}");
        }
    }
}

/// The same sales, amounts and balances, each once.
fn agrees_on_money(history: &History, sales: &[SaleView]) {
    let wanted: BTreeMap<&str, (i64, i64)> =
        history.sales.iter().map(|sale| (&*sale.invoice_id, (sale.total, sale.total - sale.refunded - sale.disputed))).collect();
    let cents = |value: &Value| value.to_string().replace('.', "").parse::<i64>().unwrap();
    let found: BTreeMap<&str, (i64, i64)> = sales
        .iter()
        .map(|sale| (sale.event["invoiceId"].as_str().unwrap(), (cents(&sale.event["amount"]), cents(&sale.balance.left))))
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(found.len(), sales.len(), "no sale twice");
    for sale in sales {
        assert!(sale.possible_double_counts.is_empty(), "{sale:#?}");
    }
}

/// Whoever is named is named rightly, and what is missing has the right reason.
fn agrees_on_attribution(history: &History, sales: &[SaleView], is_in_time: bool) {
    for sale in sales {
        let truth = history.sales.iter().find(|truth| truth.invoice_id == sale.event["invoiceId"]).unwrap();
        let field = |name: &str| sale.event.get(name).and_then(Value::as_str);
        let (customer, click) = (field("customerExternalId"), field("clickId"));
        let newest = history.click_of(truth);
        // What came late may be missing, but it is never somebody else's.
        let own: BTreeSet<&str> = history
            .clicks
            .iter()
            .filter(|(name, _)| Some(name.as_str()) == truth.customer.as_deref())
            .flat_map(|(_, clicks)| clicks.iter().filter(|(at, _)| *at <= truth.at + ROOM_SECS).map(|(_, click)| click.as_str()))
            .collect();
        if is_in_time {
            assert_eq!(customer, truth.customer.as_deref(), "{sale:#?}");
            assert_eq!(click, newest, "{sale:#?}");
        } else {
            assert!(customer.is_none() || customer == truth.customer.as_deref(), "{sale:#?}");
            assert!(click.is_none_or(|click| own.contains(click)), "{click:?} is none of {own:?}: {sale:#?}");
            assert!(truth.click.is_none() || click.is_none_or(|_| customer.is_some()));
        }
        let reason = sale.code.as_deref();
        match (customer, click) {
            (None, _) => assert!(matches!(reason, Some("customer_unknown" | "nothing_left")), "{sale:#?}"),
            (Some(_), None) => {
                // A click that would be right may have come when the sale was sent; then only later ones may be remembered.
                let has_later = truth.customer.as_ref().is_some_and(|name| {
                    history.clicks.get(name).is_some_and(|clicks| clicks.iter().any(|(at, _)| *at > truth.at))
                });
                let right: &[&str] = if has_later {
                    &["click_unknown", "click_too_late", "nothing_left"]
                } else {
                    &["click_unknown", "nothing_left"]
                };
                assert!(reason.is_some_and(|code| right.contains(&code)), "{reason:?} is none of {right:?}: {sale:#?}");
            }
            (Some(_), Some(_)) => assert!(matches!(reason, None | Some("nothing_left")), "{sale:#?}"),
        }
    }
}

/// When each hook arrives, how often again, and what else happens between.
fn steps(history: &History, seeds: &[u64], delay_secs: i64, is_in_time: bool) -> Vec<(i64, Step)> {
    let mut steps = Vec::new();
    let mut dice = seeds.iter().cycle().copied().enumerate().map(|(number, seed)| {
        // A small mixer: each draw is another number for every place and seed.
        let mut value = seed ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        value = (value ^ (value >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value ^ (value >> 29)
    });
    let mut draw = |below: u64| dice.next().unwrap() % below;
    for (number, hook) in history.hooks.iter().enumerate() {
        // Of one purchase, all comes within the waiting room of the first, in whatever order.
        let room = u64::try_from(if is_in_time && hook.purchase.is_some() { ROOM_SECS / 2 } else { delay_secs }).unwrap();
        let begin = if is_in_time && hook.purchase.is_some() { hook.at - hook.at % HOUR + BEGIN % HOUR } else { hook.at };
        let arrival = begin.max(hook.at) + i64::try_from(draw(room.max(1))).unwrap();
        steps.push((arrival, Step::Arrives(number)));
        for _ in 0..draw(3) {
            steps.push((arrival + i64::try_from(draw(9 * 24 * 3600)).unwrap(), Step::Arrives(number)));
        }
        let moment = arrival + i64::try_from(draw(4)).unwrap();
        match draw(6) {
            0 => steps.push((moment, Step::Restarts)),
            1 | 2 => steps.push((moment, Step::Sends)),
            3 | 4 => steps.push((moment, Step::Settles)),
            _ => {}
        }
    }
    // Of what happens at one moment, chance decides which is first.
    let mut steps: Vec<(i64, u64, Step)> = steps.into_iter().map(|(at, step)| (at, draw(u64::MAX), step)).collect();
    steps.sort_by_key(|(at, chance, _)| (*at, *chance));
    steps.into_iter().map(|(at, _, step)| (at, step)).collect()
}

/// A bridge that keeps up settles everything before an hour is over.
fn with_hours(mut steps: Vec<(i64, Step)>) -> Vec<(i64, Step)> {
    let last = steps.last().map_or(BEGIN, |(at, _)| *at);
    let hours = (0..).map(|hour| BEGIN + HOUR * hour - 1).take_while(|at| *at <= last.min(BEGIN + 12 * HOUR));
    steps.extend(hours.map(|at| (at, Step::Sends)));
    steps.sort_by_key(|(at, _)| *at);
    steps
}

fn runs(cases: u32) -> ProptestConfig {
    // More or fewer by PROPTEST_CASES.
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(runs(1200))]

    #[test]
    fn told_in_time_the_ledger_is_the_history(deeds in deeds(), seeds in prop::collection::vec(any::<u64>(), 7)) {
        actix_web::rt::System::new().block_on(async {
            let history = History::of(&deeds);
            let desk = lives(&history, &with_hours(steps(&history, &seeds, HOUR / 2, true))).await;
            let sales = desk.sales();
            agrees_on_money(&history, &sales);
            agrees_on_what_was_told(&sales);
            agrees_on_attribution(&history, &sales, true);
        });
    }

    #[test]
    fn in_any_order_and_however_late_the_ledger_is_the_history(deeds in deeds(), seeds in prop::collection::vec(any::<u64>(), 7), days in 0_i64..9) {
        actix_web::rt::System::new().block_on(async {
            let history = History::of(&deeds);
            let desk = lives(&history, &steps(&history, &seeds, 1 + days * 24 * HOUR, false)).await;
            let sales = desk.sales();
            agrees_on_money(&history, &sales);
            agrees_on_what_was_told(&sales);
            agrees_on_attribution(&history, &sales, false);
        });
    }
}
