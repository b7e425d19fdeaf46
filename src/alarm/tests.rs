//! The rules of alarms: days of a source, and minutes of a watch.

use std::collections::BTreeMap;

use super::usual::{Share, Silence, share, silence};
use super::*;
use crate::domain::from_millis;
use crate::store::AlarmRecord;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// A Monday, two weeks after the first count of every source here.
const MONDAY: i64 = 1_795_996_800;
const LIMITS: Thresholds = Thresholds {
    silence_odds: 1000,
    refusals_least: 20,
    refusals_factor: 10,
    unattributed_least: 30,
    unattributed_points: 25,
    queue_age_secs: 900,
};

fn at(secs: i64) -> Timestamp {
    from_millis(secs * 1000)
}

/// A source whose requests came at these seconds.
fn source_of(requests: &[i64]) -> SourceSeen {
    SourceSeen {
        name: "stripe".to_owned(),
        requests: requests.iter().map(|secs| (secs.div_euclid(HOUR), 1)).collect(),
        last_seen: requests.iter().max().map(|secs| at(*secs)),
        ..SourceSeen::default()
    }
}

/// Evenly spaced requests from so many days before Monday until `until`, where `is_open` says that there are any.
fn even(days: i64, a_day: i64, until: i64, is_open: impl Fn(i64) -> bool) -> Vec<i64> {
    let all = (0..).map(|number| MONDAY - days * DAY + number * DAY / a_day);
    all.take_while(|secs| *secs <= until).filter(|secs| is_open(*secs)).collect()
}

/// After how long the source would be called silent, looked at every minute.
fn patience(source: &SourceSeen) -> Option<i64> {
    let since = source.last_seen.unwrap().as_second();
    (1..5 * 24 * 60).find(|minutes| silence(source, at(since + minutes * 60), 1000).is_some())
}

#[test]
fn the_busier_a_source_is_the_sooner_its_silence_counts() {
    let minutes = |a_day: i64| patience(&source_of(&even(14, a_day, MONDAY + 10 * HOUR, |_| true)));
    // Ten a day: a day, so that ten are missing; a thousand a day: fifteen are. Two a day: three and a half days.
    assert_eq!((minutes(10), minutes(1000), minutes(2)), (Some(1423), Some(21), Some(5079)));
    assert_eq!(minutes(1), None, "one a day has no rhythm");
}

#[test]
fn a_silence_says_since_when_and_what_would_have_been_usual() {
    let source = source_of(&even(14, 240, MONDAY + 10 * HOUR, |_| true));
    let found = silence(&source, at(MONDAY + 13 * HOUR), 1000);
    assert_eq!(found, Some(Silence { since: at(MONDAY + 10 * HOUR), usual: 30 }));
}

#[test]
fn nights_and_weekends_are_no_silence() {
    let is_day = |secs: i64| (8..20).contains(&(secs.rem_euclid(DAY) / HOUR));
    let source = source_of(&even(14, 2400, MONDAY - DAY + 20 * HOUR, is_day));
    let sunday_evening = source.last_seen.unwrap().as_second();
    assert_eq!(silence(&source, at(sunday_evening + 11 * HOUR), 1000), None);
    assert!(silence(&source, at(sunday_evening + 13 * HOUR), 1000).is_some(), "but the morning after is one");
    let is_weekday = |secs: i64| (MONDAY - secs).div_euclid(DAY).rem_euclid(7) > 1;
    let source = source_of(&even(14, 2400, MONDAY - 1, |secs| is_weekday(secs) && is_day(secs)));
    let friday = source.last_seen.unwrap().as_second();
    assert_eq!(friday / DAY, (MONDAY - 3 * DAY) / DAY);
    assert_eq!(silence(&source, at(MONDAY), 1000), None);
    assert!(silence(&source, at(MONDAY + 10 * HOUR), 1000).is_some(), "Monday morning is one");
}

#[test]
fn a_burst_makes_no_rhythm_and_neither_does_a_week_that_is_not_over() {
    let mut requests = even(14, 2, MONDAY, |_| true);
    requests.extend((0..5000).map(|_| MONDAY - 7 * DAY + 6 * HOUR));
    assert_eq!(silence(&source_of(&requests), at(MONDAY + 20 * HOUR), 1000), None);
    let new = source_of(&even(6, 2400, MONDAY, |_| true));
    assert_eq!(silence(&new, at(MONDAY + 4 * HOUR), 1000), None);
    assert_eq!(silence(&SourceSeen::default(), at(MONDAY), 1000), None, "one that never spoke");
}

/// Payments by chance, busy by day, each told by several requests: over weeks hardly ever called silent, and soon once they stop.
#[test]
fn chance_and_clusters_are_no_silence() {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let mut requests = Vec::new();
    for minute in 0..(35 * 24 * 60) {
        let hour = minute / 60 % 24;
        let one_in = if (8..20).contains(&hour) { 5 } else { 40 };
        if random(one_in) == 0 {
            let secs = MONDAY - 14 * DAY + minute * 60;
            requests.extend((0..4).map(|number| secs + number));
        }
    }
    // What comes later is looked at by nobody: only the last one that was heard has to be moved on.
    let mut source = source_of(&requests);
    let mut alarms = 0;
    for look in 0..(20 * 24 * 6) {
        let now = MONDAY + look * 600;
        let heard = requests.partition_point(|secs| *secs <= now);
        source.last_seen = Some(at(requests[heard - 1]));
        alarms += u32::from(silence(&source, at(now), 1000).is_some());
    }
    assert_eq!(alarms, 0);
    let midday = MONDAY + 20 * DAY + 12 * HOUR;
    requests.retain(|secs| *secs < midday && *secs > midday - 14 * DAY);
    let minutes = patience(&source_of(&requests)).unwrap();
    assert!((30..150).contains(&minutes), "{minutes}");
}

fn watched(seen: &Observations, records: &mut Vec<AlarmRecord>, now: i64) -> Vec<Alarm> {
    let decisions = judge(seen, records, &LIMITS, at(now));
    for decision in &decisions {
        records.retain(|record| record.name != decision.name);
        records.extend(decision.record.clone());
    }
    decisions.into_iter().filter_map(|decision| decision.alarm).collect()
}

fn phases(alarms: &[Alarm]) -> Vec<(&'static str, &'static str)> {
    alarms.iter().map(|alarm| (alarm.kind.as_str(), alarm.phase.as_str())).collect()
}

fn upstream(seen: UpstreamSeen) -> Observations {
    Observations { upstreams: vec![UpstreamSeen { name: "u".to_owned(), ..seen }], ..Observations::default() }
}

#[test]
fn a_pause_is_told_when_it_begins_once_a_day_and_when_it_ends() {
    let mut records = Vec::new();
    let paused = upstream(UpstreamSeen {
        paused: Some(Paused { reason: "the token is wrong".to_owned(), by_hand: false }),
        due_since: Some(at(MONDAY - DAY)),
        ..UpstreamSeen::default()
    });
    let begun = watched(&paused, &mut records, MONDAY);
    assert_eq!(phases(&begun), [("upstream_paused", "begins")], "its old queue is no second alarm");
    assert!(begun[0].what.contains("the token is wrong") && begun[0].next.contains("upstream resume"), "{begun:?}");
    assert_eq!(watched(&paused, &mut records, MONDAY + DAY - 1), []);
    let reminded = watched(&paused, &mut records, MONDAY + DAY);
    assert_eq!((phases(&reminded), reminded[0].since), (vec![("upstream_paused", "reminds")], at(MONDAY)));
    assert_eq!(watched(&paused, &mut records, MONDAY + DAY + 60), []);
    let ended = watched(&upstream(UpstreamSeen::default()), &mut records, MONDAY + DAY + 120);
    assert_eq!(phases(&ended), [("upstream_paused", "ends")]);
    assert_eq!((watched(&upstream(UpstreamSeen::default()), &mut records, MONDAY + DAY + 180), records), (vec![], vec![]));
}

#[test]
fn only_new_dead_letters_are_news() {
    let mut records = Vec::new();
    let dead = |dead| upstream(UpstreamSeen { dead, ..UpstreamSeen::default() });
    assert_eq!(phases(&watched(&dead(3), &mut records, MONDAY)), [("dead_letters", "begins")]);
    assert_eq!(watched(&dead(5), &mut records, MONDAY + HOUR), [], "it is on already");
    let reminded = watched(&dead(5), &mut records, MONDAY + DAY);
    assert!(reminded[0].what.starts_with("5 deliveries"), "{reminded:?}");
    let mut all = Vec::new();
    (2..20).for_each(|day| all.extend(watched(&dead(5), &mut records, MONDAY + day * DAY + 60)));
    let kinds = phases(&all);
    assert_eq!((kinds.len(), kinds.last()), (7, Some(&("dead_letters", "ends"))), "after a week they are known: {all:#?}");
    assert_eq!(watched(&dead(4), &mut records, MONDAY + 21 * DAY), []);
    assert_eq!(
        phases(&watched(&dead(5), &mut records, MONDAY + 22 * DAY)),
        [("dead_letters", "begins")],
        "one more than were left"
    );
    let ended = watched(&dead(0), &mut records, MONDAY + 23 * DAY - 60);
    assert_eq!((phases(&ended), records), (vec![("dead_letters", "ends")], vec![]));
}

#[test]
fn a_silence_ends_with_the_next_request_and_not_with_the_night() {
    let mut records = Vec::new();
    let is_day = |secs: i64| (8..20).contains(&(secs.rem_euclid(DAY) / HOUR));
    let mut requests = even(14, 2400, MONDAY + 10 * HOUR, is_day);
    let seen = |requests: &[i64], serving_since| Observations {
        sources: vec![source_of(requests)],
        serving_since: at(serving_since),
        ..Observations::default()
    };
    let (noon, long_ago) = (MONDAY + 12 * HOUR, MONDAY - DAY);
    assert_eq!(watched(&seen(&requests, noon - HOUR + 60), &mut records, noon), [], "just after a start nobody is called silent");
    let begun = watched(&seen(&requests, long_ago), &mut records, noon);
    assert_eq!(phases(&begun), [("source_silent", "begins")]);
    assert!(begun[0].what.contains("since 2026-11-30T10:00:00Z; about 200 would have been usual"), "{begun:?}");
    assert_eq!(watched(&seen(&requests, long_ago), &mut records, MONDAY + 30 * HOUR), []);
    assert_eq!(watched(&seen(&requests, MONDAY + 30 * HOUR), &mut records, MONDAY + 30 * HOUR), [], "nor with a restart");
    requests.push(MONDAY + 31 * HOUR);
    assert_eq!(phases(&watched(&seen(&requests, long_ago), &mut records, MONDAY + 31 * HOUR)), [("source_silent", "ends")]);
}

#[test]
fn refusals_surge_against_what_is_usual() {
    let refused = |now: u64, usual: u64| {
        let hour = MONDAY / HOUR;
        let hours: Hours = (hour - 300..hour - 1).map(|hour| (hour, usual)).chain([(hour, now)]).collect();
        let source = SourceSeen { refused: BTreeMap::from([("signature_mismatch".to_owned(), hours)]), ..source_of(&[MONDAY]) };
        Observations { sources: vec![source], ..Observations::default() }
    };
    let mut records = Vec::new();
    assert_eq!(watched(&refused(19, 0), &mut records, MONDAY), []);
    assert_eq!(watched(&refused(190, 10), &mut records, MONDAY), [], "usual for a source that strangers try");
    let begun = watched(&refused(200, 10), &mut records, MONDAY);
    assert_eq!(phases(&begun), [("refusals_surge", "begins")]);
    assert!(begun[0].what.starts_with("200 requests were refused within two hours, most as signature_mismatch; usual are 20"));
    assert_eq!(watched(&refused(120, 10), &mut records, MONDAY), [], "it does not come and go");
    assert_eq!(phases(&watched(&refused(90, 10), &mut records, MONDAY)), [("refusals_surge", "ends")]);
    assert_eq!(phases(&watched(&refused(20, 0), &mut records, MONDAY)), [("refusals_surge", "begins")]);
}

#[test]
fn clicks_that_go_missing_are_told_once_there_are_enough_sales() {
    let sold = |with: u64, without: u64| {
        let hour = MONDAY / HOUR;
        let before = |count: u64| (hour - 300..hour - 100).map(move |hour| (hour, count));
        SourceSeen {
            with_click: before(9).chain([(hour, with)]).collect(),
            without_click: before(1).chain([(hour, without)]).collect(),
            ..source_of(&[MONDAY])
        }
    };
    let seen = |with, without| Observations { sources: vec![sold(with, without)], ..Observations::default() };
    assert_eq!(share(&sold(15, 25), at(MONDAY)), Some(Share { sales: 40, now: 625, usual: 100, usual_sales: 2000 }));
    let mut records = Vec::new();
    assert_eq!(watched(&seen(5, 20), &mut records, MONDAY), [], "too few to tell");
    assert_eq!(watched(&seen(30, 10), &mut records, MONDAY), [], "25 of 100 are not enough more than 10");
    let begun = watched(&seen(15, 25), &mut records, MONDAY);
    assert_eq!(phases(&begun), [("unattributed_surge", "begins")]);
    assert!(
        begun[0].what.starts_with("62 of 100 sales of the last 24 hours have no click (40 sales); usual are 10"),
        "{begun:?}"
    );
    assert_eq!(watched(&seen(6, 3), &mut records, MONDAY), []);
    assert_eq!(phases(&watched(&seen(10, 2), &mut records, MONDAY)), [("unattributed_surge", "ends")]);
}

#[test]
fn what_waits_for_too_long_is_told_wherever_it_waits() {
    let mut records = Vec::new();
    let since = at(MONDAY - 899);
    let mut seen = upstream(UpstreamSeen { due_since: Some(since), ..UpstreamSeen::default() });
    seen.unsettled_since = Some(since);
    assert_eq!(watched(&seen, &mut records, MONDAY), []);
    let begun = watched(&seen, &mut records, MONDAY + 1);
    assert_eq!(phases(&begun), [("queue_old", "begins"), ("queue_old", "begins")]);
    assert_eq!(begun.iter().map(|alarm| alarm.about.as_str()).collect::<Vec<_>>(), ["the inbox", "upstream u"]);
    let off = Thresholds { queue_age_secs: 0, ..LIMITS };
    assert!(judge(&seen, &[], &off, at(MONDAY + DAY)).is_empty());
    // An upstream that is taken out of the configuration is no alarm any more.
    seen.upstreams.clear();
    let ended = watched(&seen, &mut records, MONDAY + 2);
    assert_eq!((phases(&ended), ended[0].about.as_str()), (vec![("queue_old", "ends")], "upstream u"));
}

#[test]
fn every_kind_is_found_by_its_name() {
    for kind in Kind::ALL {
        assert_eq!(Kind::of_name(&kind.name_of("a:b")), Some((kind, "a:b")));
    }
    assert_eq!(Kind::of_name("nothing:b"), None);
}
