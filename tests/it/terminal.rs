//! What a person sees in a terminal: the live view, events as they happen, listings, completions and manual pages.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use clap::CommandFactory as _;
use serde_json::{Value, json};

use crate::harness::database;
use crate::harness::desk::Desk;
use crate::harness::process::{SALEBRIDGE, Served, Sink, free_address, run, wait_until};
use crate::harness::{START, configuration};
use crate::reporting::{busy, configured, salebridge};

/// `salebridge tail --json`, read as it goes on.
struct Tail {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Tail {
    fn start(config: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(SALEBRIDGE);
        command.arg("--config").arg(config).args(["tail", "--json"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the tail has ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next line that is so.
    fn until(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.next();
            if is_so(&line) {
                return line;
            }
        }
    }

    /// Ends it as Ctrl-C does; answers with its exit code and what it said on standard error.
    fn interrupt(self) -> (Option<i32>, String) {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        self.ends()
    }

    fn ends(self) -> (Option<i32>, String) {
        drop(self.lines);
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

fn a_bridge() -> (tempfile::TempDir, Sink, Served) {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    std::fs::write(folder.path().join("config.toml"), configuration(&address, &format!("http://{}", sink.address), "")).unwrap();
    let served = Served::start(folder.path(), &address);
    (folder, sink, served)
}

#[test]
fn a_sale_is_seen_as_it_arrives_and_so_is_its_delivery() {
    let (folder, _sink, served) = a_bridge();
    let config = folder.path().join("config.toml");
    let mut tail = Tail::start(&config, &[]);
    served.json(&["send", "stripe", "checkout-completed"]);
    let sale = tail.next();
    assert_eq!((&sale["what"], &sale["source"], &sale["outcome"]), (&json!("event"), &json!("stripe"), &json!("sale")), "{sale}");
    let listed = served.json(&["sales", "list"]);
    assert_eq!((&sale["amount"], &sale["currency"]), (&listed[0]["amount"], &listed[0]["currency"]));
    let attempt = tail.next();
    assert_eq!(
        (&attempt["what"], &attempt["sale"], &attempt["outcome"], &attempt["status"]),
        (&json!("attempt"), &sale["sale"], &json!("delivered"), &json!(200)),
        "{attempt}"
    );
    // The same purchase again, as another event: one line, and no attempt.
    served.json(&["send", "stripe", "checkout-completed", "--set", "id=evt_again"]);
    assert_eq!(tail.next()["outcome"], "corroborates");
    for told in [&sale, &attempt] {
        let text = told.to_string();
        for field in ["email", "name", "customerExternalId"] {
            assert!(!text.contains(listed[0][field].as_str().unwrap()), "{field} in {text}");
        }
    }
    assert_eq!(tail.interrupt(), (Some(0), String::new()));
}

#[test]
fn a_tail_that_nobody_reads_any_more_ends_quietly() {
    let (folder, _sink, served) = a_bridge();
    served.json(&["send", "stripe", "checkout-completed"]);
    let mut tail = Tail::start(&folder.path().join("config.toml"), &["--since", "2020-01-01"]);
    tail.until(|line| line["what"] == "attempt");
    let Tail { mut child, lines } = tail;
    drop(lines);
    served.json(&["send", "stripe", "checkout-completed", "--set", "id=evt_again"]);
    wait_until("the tail has ended", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[actix_web::test]
async fn a_tail_begins_where_it_is_told_to_and_shows_what_is_asked_for() {
    let desk = busy().await;
    let config = configured(&desk);
    let count = |arguments: &[&str], last: &dyn Fn(&Value) -> bool| {
        let mut tail = Tail::start(&config, arguments);
        let mut seen = 0;
        loop {
            seen += 1;
            if last(&tail.next()) {
                break;
            }
        }
        assert_eq!(tail.interrupt(), (Some(0), String::new()), "{arguments:?}");
        seen
    };
    let is_tie = |line: &Value| line["request"] == 12;
    // All came at one time, so that events are before attempts.
    assert_eq!(count(&["--since", "2026-11-22"], &|line| line["what"] == "attempt" && line["delivery"] == 6), 12 + 6);
    assert_eq!(count(&["--last", "3"], &is_tie), 3);
    assert_eq!(count(&["--since", "2026-11-22", "--outcome", "adjustment"], &|line| line["request"] == 9), 2);
    assert_eq!(count(&["--outcome", "parked"], &|line| line["code"] == "unknown_currency"), 1);
    let outcome = run(Some(&config), &["tail", "--outcome", "lost"]);
    assert_eq!(outcome.status.code(), Some(2), "{outcome:?}");
    let source = run(Some(&config), &["tail", "--source", "nobody"]);
    assert_eq!(source.status.code(), Some(2));
    assert!(String::from_utf8(source.stderr).unwrap().contains("there is money"));
}

/// Where several processes serve a store, a number that was given early may be settled late.
#[actix_web::test]
async fn what_is_settled_late_is_not_missed() {
    if !database::is_shared() {
        return;
    }
    let desk = busy().await;
    let url = desk.store_url();
    let put = |id: i64, outcome: &str| {
        database::execute(
            &url,
            &format!(
                "INSERT INTO inbox (id, source, received_at, headers, body) VALUES ({id}, 'money', 0, '[]', '');
                 INSERT INTO events (request, position, source, kind, mode, at, outcome) VALUES ({id}, 0, 'money', 'x', 'live', 0, '{outcome}')"
            ),
        );
    };
    let mut tail = Tail::start(&configured(&desk), &["--last", "1"]);
    assert_eq!(tail.next()["request"], 12);
    for id in [16, 13, 15, 14] {
        put(id, "ignored");
        assert_eq!(tail.until(|line| line["what"] == "event")["request"], id);
    }
    // What waits for its provider's API is told of again once it is known.
    put(17, "fetching");
    assert_eq!(tail.next()["outcome"], "fetching");
    database::execute(&url, "UPDATE events SET outcome = 'ignored' WHERE request = 17");
    assert_eq!(tail.next()["outcome"], "ignored");
    assert_eq!(tail.interrupt(), (Some(0), String::new()));
}

#[actix_web::test]
async fn attempts_are_found_once_they_are_over_without_an_index() {
    let desk = busy().await;
    let (store, start) = (desk.store(), START.parse().unwrap());
    let found = store.attempts_after(start, &[]).unwrap();
    assert!(!found.lines.is_empty() && found.watched.is_empty(), "all was sent: {found:?}");
    assert_eq!(store.attempts_after(desk.now + Duration::from_secs(3600), &[]).unwrap().lines, []);
    // What is watched is found even though it is older than what is asked for.
    let first = &found.lines[0];
    let watched = [salebridge::store::Watched { delivery: first.delivery, attempts: 0 }];
    let again = store.attempts_after(desk.now + Duration::from_secs(3600), &watched).unwrap();
    assert_eq!(again.lines, std::slice::from_ref(first));
    assert_eq!(store.last_settled().unwrap(), 12);
    assert_eq!(store.last_request_before(desk.now).unwrap(), 0, "all came at one time");
    assert_eq!(store.last_request_before(desk.now + Duration::from_secs(1)).unwrap(), 12);
}

#[actix_web::test]
async fn listings_show_what_is_asked_for() {
    let desk = busy().await;
    let ids = |arguments: &[&str]| {
        let (code, text) = salebridge(&desk, &[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{arguments:?}");
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
        rows.iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["sales", "list"]), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(ids(&["sales", "list", "--limit", "2"]), [7, 6]);
    assert_eq!(ids(&["sales", "list", "--ascending", "--limit", "2"]), [1, 2]);
    assert_eq!(ids(&["sales", "list", "--state", "parked"]), [4]);
    assert_eq!(ids(&["sales", "list", "--currency", "kwd"]), [3]);
    assert_eq!(ids(&["sales", "list", "--without-click"]), [4, 3]);
    assert_eq!(ids(&["sales", "list", "--with-click", "--limit", "1"]), [7]);
    assert_eq!(ids(&["sales", "list", "--mode", "test"]), [0_i64; 0]);
    assert_eq!(ids(&["sales", "list", "--since", "2026-11-30"]), [5]);
    assert_eq!(ids(&["sales", "list", "--source", "money", "--until", "2026-11-23"]), [1]);
    assert_eq!(ids(&["requests", "list", "--outcome", "adjustment"]), [9, 8]);
    assert_eq!(ids(&["requests", "list", "--until", "2026-11-23"]), [0_i64; 0]);
    assert_eq!(ids(&["deliveries", "list", "--state", "delivered", "--upstream", "u", "--ascending", "--limit", "2"]), [1, 2]);
    assert_eq!(ids(&["deliveries", "list", "--upstream", "nobody"]), [0_i64; 0]);
    for wrong in [
        &["sales", "list", "--state", "lost"][..],
        &["sales", "list", "--source", "nobody"],
        &["sales", "list", "--with-click", "--without-click"],
        &["requests", "list", "--outcome", "delivered"],
        &["requests", "list", "--source", "nobody"],
        &["deliveries", "list", "--state", "lost"],
        &["report", "--source", "nobody"],
    ] {
        assert_eq!(salebridge(&desk, wrong).0, 2, "{wrong:?}");
    }
    let said = run(Some(&configured(&desk)), &["report", "--source", "nobody"]).stderr;
    assert!(String::from_utf8(said).unwrap().contains("--source nobody: there is no such source; there is money"));
}

#[actix_web::test]
async fn a_listing_says_what_is_left_where_something_was_taken_back() {
    let desk = busy().await;
    let (_, all) = salebridge(&desk, &["sales", "list"]);
    assert!(all.lines().next().unwrap().contains("AMOUNT  LEFT  CUR"), "{all}");
    assert!(all.contains("10.00  7.50  EUR"), "{all}");
    let (_, others) = salebridge(&desk, &["sales", "list", "--currency", "KWD"]);
    assert!(!others.contains("LEFT") && others.contains("12.345"), "{others}");
    assert!(!all.contains('\u{1b}'), "no colour where nobody looks");
}

#[actix_web::test]
async fn sales_are_found_by_what_is_known_of_them() {
    let desk = busy().await;
    let found = |text: &str| {
        let (code, found) = salebridge(&desk, &["sales", "find", text, "--json"]);
        let sales: Vec<Value> = serde_json::from_str(&found).unwrap();
        (code, sales.iter().map(|sale| sale["id"].as_i64().unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(found("u-2"), (0, vec![3]));
    assert_eq!(found("nobody@example.com"), (1, vec![]));
    let typed = |text: &[u8]| {
        let mut command = Command::new(SALEBRIDGE);
        command.arg("--config").arg(configured(&desk)).args(["sales", "find", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = typed(b"u-2\n");
    assert!(code == 0 && text.contains("12.345") && text.lines().count() == 2, "{text}");
    assert_eq!(typed(b"\n").0, 2, "nothing was said");
}

#[actix_web::test]
async fn the_live_view_is_one_plain_frame_where_there_is_no_terminal() {
    let desk = busy().await;
    let (code, frame) = salebridge(&desk, &["top", "--days", "366"]);
    assert_eq!(code, 0);
    for part in ["FUNNEL", "QUEUES", "NEEDS A PERSON", "SOURCES", "WITHOUT A CLICK", "click_unknown"] {
        assert!(frame.contains(part), "{part} in {frame}");
    }
    assert!(!frame.contains('\u{1b}') && frame.lines().all(|line| line.chars().count() <= 80), "{frame}");
    let (code, whole) = salebridge(&desk, &["top", "--days", "366", "--json"]);
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!((code, &whole["queues"]["due"]), (0, &json!(0)));
    assert!(whole["funnel"]["received"].as_u64().unwrap() >= 12, "{whole}");
    assert_eq!(salebridge(&desk, &["top", "--interval", "0"]).0, 2);
    let empty = Desk::of_money("");
    let (code, frame) = salebridge(&empty, &["top", "--once"]);
    assert!(code == 0 && frame.contains("received") && !frame.contains("NEEDS"), "{frame}");
}

#[test]
fn each_shell_gets_a_script_and_bash_accepts_its_own() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let made = run(None, &["completions", shell]);
        let script = String::from_utf8(made.stdout).unwrap();
        assert!(made.status.success() && script.contains("salebridge"), "{shell}");
        for word in ["deliveries", "completions", "tail", "--without-click"] {
            let word = if shell == "fish" { word.trim_start_matches("--") } else { word };
            assert!(script.contains(word), "{word} is not completed in {shell}");
        }
        if shell == "bash" {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("salebridge.bash");
            std::fs::write(&file, script).unwrap();
            let checked = Command::new("bash").arg("-n").arg(&file).output().unwrap();
            assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
        }
    }
    assert_eq!(run(None, &["completions", "cmd"]).status.code(), Some(2));
}

#[test]
fn each_command_has_a_manual_page() {
    fn names(command: &clap::Command, before: &str, all: &mut Vec<String>) {
        let name = if before.is_empty() { command.get_name().to_owned() } else { format!("{before}-{}", command.get_name()) };
        command.get_subcommands().for_each(|below| names(below, &name, all));
        all.push(name);
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man");
    let made = run(None, &["man", "--dir", dir.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    let mut expected = Vec::new();
    names(&salebridge::cli::Arguments::command(), "", &mut expected);
    assert!(expected.len() > 30 && expected.contains(&"salebridge-sales-list".to_owned()), "{expected:?}");
    for name in &expected {
        let page = std::fs::read_to_string(dir.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".TH ") && page.contains(".SH SYNOPSIS"), "{name}");
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), expected.len(), "and no other");
    let first = String::from_utf8(run(None, &["man"]).stdout).unwrap();
    assert!(first.contains(".SH SUBCOMMANDS") && first.contains("salebridge\\-deliveries"), "{first}");
}
