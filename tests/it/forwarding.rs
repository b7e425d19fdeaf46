//! What the upstream answers, and what becomes of the delivery.

use std::sync::Arc;
use std::time::Duration;

use salebridge::domain::AttemptOutcome;
use salebridge::domain::DeliveryState::{self, Dead, Delivered, Due, Duplicate, Sending};
use salebridge::store::{Attempt, AttemptView, Forgotten, Lease, Retry};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::harness::desk::{Desk, configured, lease};
use crate::harness::flaky::{Faults, Flaky};
use crate::harness::webhooks::{stripe, stripe_checkout, who};
use crate::harness::{Bridge, database};

async fn with_a_sale(bridge: &Bridge, number: u32) {
    assert_eq!(bridge.receives("stripe", &stripe_checkout(number, &who("c-1", "user_1"))).await.status, 200);
}

#[actix_web::test]
async fn every_answer_is_judged_as_the_template_says() {
    let html = "<!DOCTYPE html><html><body>Sign in</body></html>";
    let cases: [(u16, &str, DeliveryState, &str); 21] = [
        (200, r#"{"success":true,"timestamp":"2026"}"#, Delivered, "delivered"),
        (200, r#"{"status":true,"data":"x"}"#, Delivered, "delivered"),
        (200, r#"{"status":"ok"}"#, Delivered, "delivered"),
        (200, "", Delivered, "delivered"),
        (201, "{}", Delivered, "delivered"),
        (200, r#"{"success":false,"error":"x"}"#, Dead, "rejected"),
        (200, r#"{"status":false}"#, Dead, "rejected"),
        (200, html, Due, "paused"),
        (301, "", Due, "paused"),
        (307, "", Due, "paused"),
        (400, "{}", Dead, "rejected"),
        (401, "{}", Due, "paused"),
        (403, "{}", Due, "paused"),
        (404, r#"{"error":"no click"}"#, Due, "retry_limited"),
        (404, html, Due, "paused"),
        (408, "", Due, "retry"),
        (409, "{}", Duplicate, "duplicate"),
        (422, "{}", Dead, "rejected"),
        (429, "{}", Due, "retry"),
        (500, "", Due, "retry"),
        (503, html, Due, "retry"),
    ];
    for (status, answer, state, outcome) in cases {
        let mut bridge = Bridge::with_silent_upstream("").await;
        bridge.leaves_work();
        bridge.upstream_answers(status, answer).await;
        with_a_sale(&bridge, 1).await;
        bridge.forwards().await;
        let delivery = bridge.store.delivery(1).unwrap().unwrap();
        let case = format!("{status} {answer}");
        assert_eq!((delivery.state, delivery.history[0].outcome.as_str()), (state, outcome), "{case}");
        assert_eq!(delivery.history.len(), 1, "{case}");
        let burnt = if outcome == "paused" { 0 } else { 1 };
        assert_eq!(delivery.attempts, burnt, "{case}: a paused upstream burns nothing");
        assert!(!delivery.history[0].reason.is_empty());
    }
}

#[actix_web::test]
async fn retries_come_after_what_the_upstream_asks_for() {
    for (value, secs) in
        [("2", 2), ("Sun, 22 Nov 2026 05:12:01 GMT", 60), ("1795324321", 60), ("1795324321000", 60), ("99999999", 900)]
    {
        let mut bridge = Bridge::with_silent_upstream("").await;
        bridge.upstream_does(ResponseTemplate::new(429).insert_header("Retry-After", value)).await;
        with_a_sale(&bridge, 1).await;
        bridge.forwards().await; // one second passes before it is sent
        let due: jiff::Timestamp = bridge.deliveries()[0].due_at.parse().unwrap();
        assert_eq!(due.as_second() - bridge.now().as_second(), secs, "{value}");
        bridge.upstream_answers(200, "{}").await;
        bridge.passes(Duration::from_secs(secs.unsigned_abs() - 2)).await;
        bridge.forwards().await;
        assert!(bridge.upstream_bodies().await.is_empty(), "{value}: not a second too early");
        bridge.forwards().await;
        bridge.forwards().await;
        assert_eq!(bridge.delivery_states(), [Delivered], "{value}");
    }
}

#[actix_web::test]
async fn a_delivery_that_never_succeeds_ends_as_a_dead_letter_and_can_be_resumed() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(503, "down").await;
    with_a_sale(&bridge, 1).await;
    for _ in 0..400 {
        // What every start does; a restart is not a pause, so the days go on counting.
        bridge.store.set_paused("cutmeshort", None, bridge.now()).await.unwrap();
        bridge.forwards().await;
        bridge.passes(Duration::from_secs(4 * 60 * 60)).await;
    }
    let delivery = bridge.store.delivery(1).unwrap().unwrap();
    assert_eq!(delivery.state, Dead);
    assert!(delivery.attempts > 20 && delivery.attempts < 400, "{}", delivery.attempts);

    bridge.upstream_answers(200, "{}").await;
    assert_eq!(bridge.store.retryable(&Retry::default(), 10).unwrap().count, 1);
    assert_eq!(bridge.store.retry(Retry::default(), bridge.now()).await.unwrap(), 1);
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Delivered]);
    assert_eq!(
        bridge.store.retry(Retry { ids: vec![1], ..Retry::default() }, bridge.now()).await.unwrap(),
        0,
        "what was accepted is never sent again"
    );
}

#[actix_web::test]
async fn an_unknown_click_is_tried_a_few_times_only() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(404, r#"{"error":"no such click"}"#).await;
    with_a_sale(&bridge, 1).await;
    for _ in 0..20 {
        bridge.forwards().await;
        bridge.passes(Duration::from_secs(60 * 60)).await;
    }
    let delivery = bridge.store.delivery(1).unwrap().unwrap();
    assert_eq!((delivery.state, delivery.attempts), (Dead, 6));
}

#[actix_web::test]
async fn a_paused_upstream_keeps_its_queue_and_is_probed_by_one() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(401, "{}").await;
    with_a_sale(&bridge, 1).await;
    bridge.forwards().await;
    for number in 2..=5 {
        with_a_sale(&bridge, number).await;
    }
    bridge.forwards().await;
    assert_eq!(bridge.upstream_bodies().await.len(), 1, "nothing is sent while it is paused");
    assert!(bridge.store.upstreams().unwrap()[0].paused);

    bridge.passes(Duration::from_secs(5 * 60)).await;
    bridge.forwards().await;
    assert_eq!(bridge.upstream_bodies().await.len(), 2, "one delivery finds out whether it works again");
    bridge.upstream_answers(200, "{}").await;
    bridge.passes(Duration::from_secs(5 * 60)).await;
    bridge.forwards().await;
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Delivered; 5]);
    assert!(!bridge.store.upstreams().unwrap()[0].paused);
}

#[actix_web::test]
async fn a_person_may_end_a_pause() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(403, "{}").await;
    with_a_sale(&bridge, 1).await;
    bridge.forwards().await;
    bridge.upstream_answers(200, "{}").await;
    assert_eq!(bridge.store.retry(Retry { ids: vec![1], ..Retry::default() }, bridge.now()).await.unwrap(), 1);
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Delivered]);
}

#[actix_web::test]
async fn an_upstream_that_is_not_there_is_tried_again_and_delays_no_other() {
    // Nothing listens on port 1.
    let gone = "[[upstreams]]\nname = \"gone\"\ntemplate = \"cutmeshort\"\ntoken = \"t\"\nbase_url = \"http://127.0.0.1:1\"\nrequests_per_minute = 60000\n";
    let mut bridge = Bridge::with(gone).await;
    bridge.leaves_work();
    with_a_sale(&bridge, 1).await;
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Delivered, Due], "one upstream's trouble is not another's");
    let delivery = bridge.store.delivery(2).unwrap().unwrap();
    assert_eq!((delivery.attempts, delivery.last_status), (1, None));
    assert!(delivery.last_reason.unwrap().contains("not sent"));
}

#[actix_web::test]
async fn amounts_and_times_are_written_as_the_upstream_is_configured() {
    let cases = [
        ("amount_unit = \"minor\"", r#""amount":4999,"#),
        ("event_name = \"sale\"", r#""eventName":"sale""#),
        ("timestamp = \"always\"", r#""timestamp":"2026-11-22T05:11:00Z""#),
    ];
    for (setting, part) in cases {
        let mut bridge = Bridge::with(setting).await;
        with_a_sale(&bridge, 1).await;
        bridge.forwards().await;
        let bodies = bridge.upstream_bodies().await;
        assert!(bodies[0].contains(part), "{setting}: {bodies:?}");
    }
    let mut bridge = Bridge::with("timestamp = \"never\"").await;
    with_a_sale(&bridge, 1).await;
    bridge.forwards().await;
    assert!(!bridge.upstream_bodies().await[0].contains("timestamp"));

    let mut late = Bridge::with_silent_upstream("").await;
    late.upstream_answers(503, "").await;
    with_a_sale(&late, 1).await;
    late.forwards().await;
    late.upstream_answers(200, "{}").await;
    late.passes(Duration::from_secs(25 * 60 * 60)).await;
    late.forwards().await;
    assert!(!late.upstream_bodies().await[0].contains("timestamp"), "a sale of yesterday goes without its time");
}

#[actix_web::test]
async fn the_token_never_stands_in_what_is_kept() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    let answer =
        r#"{"error":"Bearer token-of-the-test is not allowed","promoter":{"auth_token":"theirs","temp_password":"hush"}}"#;
    bridge.upstream_answers(400, answer).await;
    with_a_sale(&bridge, 1).await;
    bridge.forwards().await;
    let kept = serde_json::to_string(&bridge.store.delivery(1).unwrap().unwrap()).unwrap();
    assert!(kept.contains("[redacted]") && !kept.contains("token-of-the-test"), "{kept}");
    assert!(!kept.contains("theirs") && !kept.contains("hush"), "{kept}");
}

#[actix_web::test]
async fn what_was_sent_and_not_answered_is_unknown_and_sent_again_only_where_a_repeat_is_known() {
    // It reads the request and answers nothing.
    let silent = Flaky::start(Faults { fails: 0, limits: 0, hangs: 0 });
    silent.is_down(true);
    let base = format!("base_url = \"http://{}\"\nrequests_per_minute = 6000", silent.address);
    for (template, state, words) in [
        ("template = \"cutmeshort\"\ntoken = \"t\"", Due, "sent again under the same invoiceId"),
        (
            "template = \"endorsely\"\ntoken = \"t\"\nsettings = { organization_id = \"o\" }\ncurrencies = [\"USD\"]",
            Dead,
            "would be counted twice",
        ),
    ] {
        let mut bridge = Bridge::with_silent_upstream(&format!("[[upstreams]]\nname = \"other\"\n{template}\n{base}")).await;
        bridge.leaves_work();
        with_a_sale(&bridge, 1).await;
        bridge.forwards().await;
        let delivery = bridge.store.delivery(2).unwrap().unwrap();
        assert_eq!((delivery.state, delivery.history[0].outcome.as_str()), (state, "unknown"), "{template}");
        assert!(delivery.history[0].reason.contains(words), "{}", delivery.history[0].reason);
    }
}

#[actix_web::test]
async fn an_attempt_whose_process_died_is_noted_and_made_again_unless_it_would_count_twice() {
    for (counts_repeats, state) in [(false, Due), (true, Dead)] {
        let mut desk = Desk::new(configured(""));
        desk.hears("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
        let lease = |now| Lease { counts_repeats, ..lease("cutmeshort", now) };
        let claim = async |desk: &Desk, held: &[i64]| {
            let lease = Lease { held: held.iter().copied().collect(), ..lease(desk.now) };
            desk.store().claim(lease).await.unwrap().claimed.len()
        };
        assert_eq!(claim(&desk, &[]).await, 1);
        assert_eq!(claim(&desk, &[]).await, 0, "nobody else gets it");
        desk.now += Duration::from_secs(3600);
        assert_eq!(claim(&desk, &[1]).await, 0, "whoever holds it keeps it, whatever the clock says");
        if !counts_repeats {
            assert_eq!(claim(&desk, &[]).await, 1, "what its holder forgot is due again");
        }
        desk.restart();
        if database::is_shared() {
            // Nobody can say that a replica died before its lease is over.
            assert_eq!(desk.store().delivery(1).unwrap().unwrap().state, Sending);
            desk.now += Duration::from_secs(61);
            assert_eq!(desk.store().claim(Lease { limit: 0, ..lease(desk.now) }).await.unwrap().claimed.len(), 0);
        }
        let delivery = desk.store().delivery(1).unwrap().unwrap();
        assert_eq!((delivery.state, delivery.attempts), (state, 0));
        let ended = if counts_repeats { 1 } else { 2 };
        assert_eq!((delivery.history.len(), delivery.history[0].outcome.as_str()), (ended, "unknown"));
        assert!(delivery.last_reason.unwrap().contains("may or may not have been accepted"));
    }
}

#[actix_web::test]
async fn an_answer_that_comes_while_others_are_recorded_is_recorded_without_waiting() {
    let mut bridge = Bridge::with("requests_per_minute = 5900\n").await;
    for round in 0..25 {
        for number in 0..8 {
            with_a_sale(&bridge, 8 * round + number).await;
        }
        bridge.passes(Duration::from_secs(1)).await;
        let all = tokio::time::timeout(Duration::from_secs(30), bridge.works_off()).await;
        assert!(all.is_ok(), "in round {round} the sender waits with answers that it has");
    }
}

#[actix_web::test]
async fn what_was_leased_when_the_clock_was_set_back_and_is_given_back_waits_for_nothing() {
    let mut desk = Desk::new(configured(""));
    let right = desk.now;
    desk.now += Duration::from_secs(7200);
    desk.hears("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    let claimed = desk.store().claim(lease("cutmeshort", desk.now)).await.unwrap().claimed;
    desk.store().set_back(right).await.unwrap();
    desk.store().give_back(claimed.iter().map(|claimed| (claimed.id, claimed.lease)).collect()).await.unwrap();
    assert_eq!(desk.store().next_due("cutmeshort").await.unwrap(), Some(right));
    let mut claimed = 0;
    // What replicas share of the rate was taken ahead as well: the first claim brings it near, the second may have it.
    for later in [0, 1].map(Duration::from_secs) {
        claimed += desk.store().claim(lease("cutmeshort", right + later)).await.unwrap().claimed.len();
    }
    assert_eq!(claimed, 1);
}

#[actix_web::test]
async fn what_a_sender_recorded_by_a_clock_that_was_ahead_is_brought_nearer_by_the_sender() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    let right = bridge.now();
    bridge.upstream_answers(503, "down").await;
    with_a_sale(&bridge, 1).await;
    bridge.settles().await;
    // Ahead and back in one go: no two steps see the clock go back, only what was read in between.
    bridge.passes(Duration::from_secs(7200)).await;
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Due]);
    bridge.clock.set(right);
    bridge.upstream_answers(200, "{}").await;
    // It notices; where replicas share a rate, that was taken ahead as well and is brought near by the next claim.
    for _ in 0..3 {
        bridge.forwards().await;
        bridge.passes(Duration::from_secs(5)).await;
    }
    assert_eq!(bridge.delivery_states(), [Delivered]);
}

#[actix_web::test]
async fn what_the_upstream_may_have_and_has_forgotten_is_not_sent_again_by_itself() {
    let mut desk = Desk::new(configured(""));
    desk.hears("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let lease = |now| Lease { window: Some(week), ..lease("cutmeshort", now) };
    let claimed = desk.store().claim(lease(desk.now)).await.unwrap().claimed.remove(0);
    let first = desk.now;
    let attempt = |lease, outcome, state| Attempt {
        delivery: claimed.id,
        upstream: "cutmeshort".into(),
        lease,
        started_at: first,
        finished_at: first,
        outcome,
        status: None,
        reason: String::new(),
        request: String::new(),
        answer: String::new(),
        state,
        due_at: first,
        counts: true,
        upstream_id: None,
        adjustments: None,
    };
    desk.store().record(Arc::new(vec![attempt(claimed.lease, AttemptOutcome::Unknown, Due)])).await.unwrap();
    // What was leased anew is not the older attempt's to judge, but what was accepted is accepted.
    desk.now += Duration::from_secs(60);
    let again = desk.store().claim(lease(desk.now)).await.unwrap().claimed.remove(0);
    assert_eq!(again.lease, claimed.lease + 1);
    let attempts = vec![attempt(claimed.lease, AttemptOutcome::Rejected, Dead)];
    desk.store().record(Arc::new(attempts)).await.unwrap();
    assert_eq!(desk.store().delivery(1).unwrap().unwrap().state, Sending);
    desk.store().give_back(vec![(1, claimed.lease)]).await.unwrap();
    assert_eq!(desk.store().delivery(1).unwrap().unwrap().state, Sending, "nor its to give back");
    desk.store().give_back(vec![(1, again.lease)]).await.unwrap();
    // The bridge was off for longer than the upstream remembers.
    desk.now += week;
    assert_eq!(desk.store().claim(lease(desk.now)).await.unwrap().claimed.len(), 0);
    let delivery = desk.store().delivery(1).unwrap().unwrap();
    assert_eq!((delivery.state, delivery.history.len()), (Dead, 2));
    assert!(delivery.last_reason.unwrap().contains("--past-window"));
    desk.store().retry(Retry { ids: vec![1], ..Retry::default() }, desk.now).await.unwrap();
    assert_eq!(desk.store().claim(lease(desk.now)).await.unwrap().claimed.len(), 1, "a person has looked");
    let attempts = vec![attempt(claimed.lease, AttemptOutcome::Delivered, Delivered)];
    desk.store().record(Arc::new(attempts)).await.unwrap();
    assert_eq!(desk.store().delivery(1).unwrap().unwrap().state, Delivered);
}

#[actix_web::test]
async fn of_two_attempts_of_one_delivery_that_are_recorded_together_the_second_follows_the_first() {
    let desk = Desk::new(configured(""));
    for number in 1..=3 {
        desk.hears("stripe", &stripe_checkout(number, &who(&format!("c-{number}"), &format!("user_{number}")))).await;
    }
    let claimed = desk.store().claim(lease("cutmeshort", desk.now)).await.unwrap().claimed;
    let at = desk.now;
    let attempt = |delivery: usize, outcome, state| Attempt {
        delivery: claimed[delivery].id,
        upstream: "cutmeshort".into(),
        lease: claimed[delivery].lease,
        started_at: at,
        finished_at: at,
        outcome,
        status: Some(200),
        reason: String::new(),
        request: format!("request {delivery}"),
        answer: String::new(),
        state,
        due_at: at,
        counts: true,
        upstream_id: None,
        adjustments: None,
    };
    let attempts = vec![
        attempt(0, AttemptOutcome::Delivered, Delivered),
        attempt(1, AttemptOutcome::Retry, Due),
        attempt(1, AttemptOutcome::Delivered, Delivered),
        attempt(2, AttemptOutcome::Rejected, Dead),
    ];
    desk.store().record(Arc::new(attempts)).await.unwrap();
    let seen = claimed.iter().map(|claimed| desk.store().delivery(claimed.id).unwrap().unwrap());
    let seen: Vec<_> = seen.map(|delivery| (delivery.state, delivery.attempts, delivery.history)).collect();
    let [(Delivered, 1, first), (Delivered, 2, second), (Dead, 1, third)] = &seen[..] else { panic!("{seen:?}") };
    let told = |history: &[AttemptView]| history.iter().map(|attempt| attempt.request.clone()).collect::<Vec<_>>();
    assert_eq!(told(first), ["request 0"]);
    assert_eq!(told(second), ["request 1", "request 1"]);
    assert_eq!(told(third), ["request 2"]);
    assert_eq!(second.iter().map(|attempt| attempt.outcome.as_str()).collect::<Vec<_>>(), ["retry", "delivered"]);
}

#[actix_web::test]
async fn a_pause_by_hand_outlives_a_restart_and_only_a_hand_ends_it() {
    let mut bridge = Bridge::with("").await;
    assert!(bridge.store.pause_by_hand("cutmeshort", Some("the vendor moves".to_owned()), bridge.now()).await.unwrap());
    with_a_sale(&bridge, 1).await;
    bridge.forwards().await;
    // What every start does, and what an answer does.
    bridge.store.set_paused("cutmeshort", None, bridge.now()).await.unwrap();
    bridge.forwards().await;
    assert!(bridge.upstream_bodies().await.is_empty());
    let upstream = bridge.store.upstreams().unwrap().remove(0);
    assert_eq!((upstream.paused, upstream.by_hand, upstream.due), (true, true, 1));
    assert_eq!(upstream.reason.as_deref(), Some("the vendor moves"));
    // Resuming a delivery is no reason to start the queue.
    assert_eq!(bridge.store.retry(Retry { ids: vec![1], ..Retry::default() }, bridge.now()).await.unwrap(), 1);
    bridge.forwards().await;
    assert!(bridge.upstream_bodies().await.is_empty());
    assert!(bridge.store.pause_by_hand("cutmeshort", None, bridge.now()).await.unwrap());
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Delivered]);
    assert!(!bridge.store.pause_by_hand("cutmeshort", None, bridge.now()).await.unwrap(), "it was not paused");
}

fn forgotten_now(upstream: &str, bridge: &Bridge) -> Forgotten {
    Forgotten { upstream: upstream.to_owned(), before: bridge.now(), sales_only: false }
}

#[actix_web::test]
async fn a_retry_leaves_out_what_was_accepted_and_what_would_be_counted_twice() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(503, "down").await; // perhaps it took it all the same
    with_a_sale(&bridge, 1).await;
    bridge.forwards().await;
    bridge.upstream_answers(400, "{}").await;
    with_a_sale(&bridge, 2).await;
    bridge.passes(Duration::from_secs(60)).await;
    bridge.forwards().await;
    bridge.forwards().await;
    bridge.upstream_answers(200, "{}").await;
    with_a_sale(&bridge, 3).await;
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Dead, Dead, Delivered]);

    let view = |which: &Retry| {
        let view = bridge.store.retryable(which, 10).unwrap();
        let ids: Vec<i64> = view.first.iter().map(|delivery| delivery.id).collect();
        assert_eq!(view.count, ids.len());
        (ids, view.accepted, view.past_window)
    };
    let all = Retry { ids: vec![1, 2, 3], ..Retry::default() };
    assert_eq!(view(&all), (vec![1, 2], 1, 0));
    let forgotten = Retry { forgotten_by: vec![forgotten_now("cutmeshort", &bridge)], ..all.clone() };
    assert_eq!(view(&forgotten), (vec![2], 1, 1), "what was refused for good was never accepted");
    assert_eq!(view(&Retry { past_window: true, ..forgotten.clone() }), (vec![1, 2], 1, 0));
    assert_eq!(view(&Retry { accepted: true, ..all.clone() }), (vec![1, 2, 3], 0, 0));
    assert_eq!(view(&Retry { accepted: true, ..forgotten.clone() }), (vec![2], 0, 2));

    // By filter: dead letters unless other states are named.
    assert_eq!(view(&Retry { status: Some(400), ..Retry::default() }).0, [1, 2]);
    assert_eq!(view(&Retry { source: Some("razorpay".to_owned()), ..Retry::default() }).0, [0_i64; 0]);
    assert_eq!(view(&Retry { upstream: Some("cutmeshort".to_owned()), ..Retry::default() }).0, [1, 2]);
    assert_eq!(view(&Retry { states: vec![Delivered], accepted: true, ..Retry::default() }).0, [3]);
    assert_eq!(view(&Retry { since: Some(bridge.now()), ..Retry::default() }).0, [0_i64; 0]);
    assert_eq!(view(&Retry { until: Some(bridge.now()), ..Retry::default() }).0, [1, 2]);

    assert_eq!(bridge.store.retry(forgotten, bridge.now()).await.unwrap(), 1);
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Dead, Delivered, Delivered]);
}

#[actix_web::test]
async fn connections_are_kept_but_the_name_is_looked_up_anew_each_minute() {
    let upstream = Flaky::start(Faults { fails: 0, limits: 0, hangs: 0 });
    let setting = "template = \"cutmeshort\"\ntoken = \"t\"\nmax_in_flight = 1\nrequests_per_minute = 6000";
    let more = format!("[[upstreams]]\nname = \"kept\"\nbase_url = \"http://{}\"\n{setting}", upstream.address);
    let mut bridge = Bridge::with(&more).await;
    for (number, connections) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        if number == 4 {
            bridge.passes(Duration::from_secs(60)).await;
        }
        with_a_sale(&bridge, number).await;
        bridge.forwards().await;
        assert_eq!(upstream.accepted().len(), number as usize);
        assert_eq!(upstream.connections(), connections, "after {number}");
    }
}

#[actix_web::test]
async fn a_dead_letter_shows_the_whole_request_and_the_answer_without_secrets() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(422, r#"{"error":"amount must be a string"}"#).await;
    with_a_sale(&bridge, 1).await;
    bridge.forwards().await;
    let attempt = bridge.store.delivery(1).unwrap().unwrap().history.remove(0);
    for part in ["POST http://", "/track/sale\n", "Authorization: [redacted]\n", "Content-Type: application/json\n\n{\"clickId\""]
    {
        assert!(attempt.request.contains(part), "{part}: {}", attempt.request);
    }
    assert_eq!((attempt.answer.as_str(), attempt.outcome.as_str()), (r#"{"error":"amount must be a string"}"#, "rejected"));
}

/// The invoice ids that stand in the sales of a file as frozen.
fn frozen(desk: &Desk) -> Vec<Option<String>> {
    let file = rusqlite::Connection::open(&desk.path).unwrap();
    let mut select = file.prepare("SELECT sent_as FROM sales ORDER BY id").unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[actix_web::test]
async fn a_claim_writes_into_a_sale_only_while_something_may_be_learned_of_its_buyer() {
    let desk = Desk::in_a_file(configured(""));
    desk.hears("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    desk.hears("stripe", &stripe_checkout(2, &json!({"customerExternalId": "user_2"}))).await;
    assert_eq!(desk.store().claim(lease("cutmeshort", desk.now)).await.unwrap().claimed.len(), 2);
    assert_eq!(frozen(&desk), [None, Some("pi_2".to_owned())]);
    assert!(desk.store().check().unwrap().findings.is_empty());
    // A stronger id is learned: the one under which it was sent is written with it.
    let tie = json!({"id": "inpay_1", "invoice": "in_1", "payment": {"payment_intent": "pi_1", "type": "payment_intent"}, "customer": "cus_1"});
    desk.hears("stripe", &stripe("evt_tie", "invoice_payment.paid", &tie)).await;
    assert_eq!(frozen(&desk), [Some("pi_1".to_owned()), Some("pi_2".to_owned())]);
    assert_eq!(desk.store().delivery(1).unwrap().unwrap().invoice_id.as_deref(), Some("pi_1"));
}
