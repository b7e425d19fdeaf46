//! `salebridge reload`: has the running bridge read its configuration anew, by the operator's listener.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::print::Printer;
use super::send::here;
use super::{Answer, Failure, runtime};
use crate::app::admin;
use crate::domain::Secret;
use crate::outbound::{Client, HeaderMap, Limits, Request, put_header, uri};

/// A reload waits for a step of the fold, which may take a while where the store is slow.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What to do where the running bridge cannot be asked.
const OTHERWISE: &str =
    "`systemctl reload salebridge`, or `kill -HUP` and its process id, does the same; the answer is then in its log";

pub(super) fn run(config: &Path, printer: &Printer) -> Answer {
    let kept =
        |faults: &dyn std::fmt::Display| Failure::No(format!("{faults}\nthe running bridge was not asked: it stays as it is"));
    let Some(desk) = admin(config).map_err(|faults| kept(&faults))? else {
        let what = format!("{}: there is no [admin], by which the running bridge could be asked", config.display());
        return Err(Failure::No(format!("{what}; {OTHERWISE}")));
    };
    let (status, body) = runtime()?
        .block_on(ask(&desk.listen, desk.token.as_ref()))
        .map_err(|why| Failure::No(format!("no bridge answers at {} ({why}); {OTHERWISE}", desk.listen)))?;
    match status {
        200 => {
            let changes: Vec<&str> = body["changes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if printer.is_json() {
                printer.json(&json!({"ok": true, "changes": changes}));
            } else if changes.is_empty() {
                printer.line("read anew; nothing is changed");
            } else {
                changes.iter().for_each(|change| printer.line(*change));
            }
            Ok(())
        }
        401 => {
            let what = "the running bridge has another admin.token than the configuration has now, so it does not answer";
            Err(Failure::No(format!("{what}; {OTHERWISE}")))
        }
        _ => {
            let detail = body["detail"].as_str().unwrap_or("the running bridge gave no reason");
            if printer.is_json() {
                printer.json(&json!({"ok": false, "faults": detail.lines().collect::<Vec<_>>()}));
            }
            Err(Failure::No(format!("{detail}\nnothing is changed: the running bridge stays as it is")))
        }
    }
}

async fn ask(listen: &str, token: Option<&Secret>) -> Result<(u16, Value), String> {
    let limits = Limits {
        connect_timeout: Duration::from_secs(5),
        timeout: TIMEOUT,
        idle_connections: 0,
        answer_limit_bytes: 1024 * 1024,
        allow_private: true,
    };
    let url = uri(&format!("http://{}/api/v1/reload", here(listen))).map_err(|_| format!("{listen} is no address"))?;
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let bearer = format!("Bearer {}", token.expose());
        put_header(&mut headers, "Authorization", &bearer, true)
            .map_err(|_| "admin.token holds what no header may".to_owned())?;
    }
    let body = Some(("application/json", "{}".to_owned()));
    let request = Request { method: "POST", url, body, headers };
    let answer = Client::new(limits)?.ask(request).await.map_err(|failure| failure.to_string())?;
    Ok((answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null)))
}
