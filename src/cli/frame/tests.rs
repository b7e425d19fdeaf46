//! Frames of several sizes, and of any size.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::{Known, Rates, Room, bar, frame, text};
use crate::domain::Timestamp;
use crate::overview::{Attention, Attribution, Funnel, Overview, SourceSeen};
use crate::store::{QueueView, UpstreamView};

fn now() -> Timestamp {
    "2026-11-22T05:11:00Z".parse().unwrap()
}

fn busy() -> Overview {
    let upstream = |name: &str, paused: bool, due, dead| UpstreamView {
        name: name.to_owned(),
        paused,
        reason: paused.then(|| "401: the token is wrong; put the right one into config.toml".to_owned()),
        since: None,
        by_hand: false,
        due,
        dead,
    };
    let seen = |source: &str, at: &str| SourceSeen { source: source.to_owned(), last_seen: at.to_owned() };
    let attribution =
        |how: &str, code: Option<&str>, sales| Attribution { how: how.to_owned(), code: code.map(str::to_owned), sales };
    Overview {
        since: "2026-11-22T00:00:00Z".to_owned(),
        until: now().to_string(),
        funnel: Funnel { received: 1200, verified: 1100, sales: 300, delivered: 1, ignored: 700, parked: 3, refused: 100 },
        revenue: Vec::new(),
        attribution: vec![
            attribution("attributed", None, 270),
            attribution("unattributed", Some("no_click"), 20),
            attribution("unattributed", Some("click_too_late"), 10),
        ],
        unattributed_share: Some(0.1),
        refused: Vec::new(),
        queues: QueueView { unsettled: 1, waiting: 2, due: 40, dead: 5, fetching: 0 },
        upstreams: vec![upstream("cutmeshort", true, 40, 5), upstream("dub", false, 0, 0)],
        sources: vec![
            seen("paddle", "2026-11-20T05:11:00Z"),
            seen("shopify", "2026-11-22T01:11:00Z"),
            seen("stripe", "2026-11-22T05:10:48Z"),
        ],
        attention: vec![Attention {
            code: "dead_letters".to_owned(),
            count: 5,
            name: None,
            text: "5 deliveries were given up: read why, mend it, and send them again.".to_owned(),
        }],
    }
}

fn shown(width: usize, height: usize) -> String {
    let (before, overview) = (Funnel { received: 1150, verified: 1095, sales: 300, delivered: 0, ..Funnel::default() }, busy());
    let rates = Rates::between(&before, &overview.funnel, Duration::from_secs(4));
    let known = Known { overview: Some(&overview), rates, trouble: None, is_live: true };
    text(&frame(&known, Room { width, height }, now()))
}

#[test]
fn a_usual_terminal_shows_all_of_it() {
    insta::assert_snapshot!(shown(80, 24), @r"
    salebridge  2026-11-22T05:11:00Z  counted since 2026-11-22T00:00:00Z  q leaves
    FUNNEL
      received   1200     12.5/s  ██████████████████████████████████████████████████
      verified   1100      1.2/s  █████████████████████████████████████████████▊
      sales       300      0.0/s  ████████████▌
      delivered     1      0.2/s  ▏
      of them ignored 700, parked 3, refused 100
    QUEUES
      unsettled 1  waiting 2  due 40  dead 5  fetching 0
    NEEDS A PERSON
      5 deliveries were given up: read why, mend it, and send them again.
    UPSTREAMS
      cutmeshort  due 40  dead 5  paused  401: the token is wrong; put the right on…
      dub         due  0  dead 0  runs
    SOURCES
      stripe      12 s ago  2026-11-22T05:10:48Z
      shopify      4 h ago  2026-11-22T01:11:00Z
      paddle    2 days ago  2026-11-20T05:11:00Z
    WITHOUT A CLICK
      10.0 % of the live sales that are decided
          20  no_click
          10  click_too_late
    ");
}

#[test]
fn a_large_terminal_has_longer_bars_and_space_between() {
    insta::assert_snapshot!(shown(120, 40), @r"
    salebridge  2026-11-22T05:11:00Z  counted since 2026-11-22T00:00:00Z  q leaves

    FUNNEL
      received   1200     12.5/s  ██████████████████████████████████████████████████████████████████████████████████████████
      verified   1100      1.2/s  ██████████████████████████████████████████████████████████████████████████████████▌
      sales       300      0.0/s  ██████████████████████▌
      delivered     1      0.2/s  ▏
      of them ignored 700, parked 3, refused 100

    QUEUES
      unsettled 1  waiting 2  due 40  dead 5  fetching 0

    NEEDS A PERSON
      5 deliveries were given up: read why, mend it, and send them again.

    UPSTREAMS
      cutmeshort  due 40  dead 5  paused  401: the token is wrong; put the right one into config.toml
      dub         due  0  dead 0  runs

    SOURCES
      stripe      12 s ago  2026-11-22T05:10:48Z
      shopify      4 h ago  2026-11-22T01:11:00Z
      paddle    2 days ago  2026-11-20T05:11:00Z

    WITHOUT A CLICK
      10.0 % of the live sales that are decided
          20  no_click
          10  click_too_late
    ");
}

#[test]
fn a_small_terminal_shows_the_funnel_and_the_beginnings_of_the_rest() {
    insta::assert_snapshot!(shown(40, 20), @r"
    salebridge  2026-11-22T05:11:00Z  count…
    FUNNEL
      received   1200     12.5/s  ██████████
      verified   1100      1.2/s  █████████▏
      sales       300      0.0/s  ██▌
      delivered     1      0.2/s  ▏
      of them ignored 700, parked 3, refuse…
    QUEUES
      unsettled 1  waiting 2  due 40  dead 5
    NEEDS A PERSON
      5 deliveries were given up: read why,…
    UPSTREAMS
      cutmeshort  due 40  dead 5  paused  4…
      dub         due  0  dead 0  runs
    SOURCES  … 1 more
      stripe      12 s ago  2026-11-22T05:1…
      shopify      4 h ago  2026-11-22T01:1…
    WITHOUT A CLICK  … 1 more
      10.0 % of the live sales that are dec…
          20  no_click
    ");
}

#[test]
fn no_frame_is_larger_than_its_room() {
    for width in 0..130 {
        for height in 0..45 {
            let frame = shown(width, height);
            assert!(frame.lines().count() <= height, "{width}x{height}: {frame}");
            assert!(frame.lines().all(|line| line.width() <= width), "{width}x{height}: {frame}");
        }
    }
}

#[test]
fn a_store_that_does_not_answer_is_told_of_beside_what_was_known() {
    let overview = busy();
    let room = Room { width: 80, height: 24 };
    let known = Known { overview: Some(&overview), rates: None, trouble: Some("the store is unavailable: gone"), is_live: true };
    let told = text(&frame(&known, room, now()));
    assert!(told.contains("the store is unavailable: gone; it is tried again") && told.contains("FUNNEL"), "{told}");
    let told = text(&frame(&Known { overview: None, ..known }, room, now()));
    assert!(told.contains("gone; it is tried again") && !told.contains("FUNNEL"), "{told}");
}

#[test]
fn what_an_upstream_wrote_moves_no_cursor() {
    let mut overview = busy();
    overview.upstreams[0].reason = Some("\u{1b}[2Jgone\nand more".to_owned());
    let known = Known { overview: Some(&overview), rates: None, trouble: None, is_live: true };
    let told = text(&frame(&known, Room { width: 120, height: 40 }, now()));
    assert!(!told.contains('\u{1b}') && told.contains("gone and more"), "{told}");
}

#[test]
fn rates_are_differences_by_the_second() {
    let count = |received| Funnel { received, ..Funnel::default() };
    let rate = |before, after, millis| {
        Rates::between(&count(before), &count(after), Duration::from_millis(millis)).map(|rates| rates.received)
    };
    assert_eq!(rate(100, 125, 2_000), Some(125));
    assert_eq!(rate(100, 100, 2_000), Some(0));
    assert_eq!(rate(100, 1, 2_000), None, "another day has begun");
    assert_eq!(rate(100, 125, 0), None);
}

#[test]
fn a_bar_is_as_long_as_its_share() {
    assert_eq!(bar(1, 1, 4), "████");
    assert_eq!(bar(1, 2, 5), "██▌");
    assert_eq!(bar(1, 1_000_000, 10), "▏", "something is never nothing");
    assert_eq!(bar(0, 0, 10), "");
}
