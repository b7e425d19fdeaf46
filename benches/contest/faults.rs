//! The phases that ask what a 200 is worth: wrong signatures, a sink that fails, kill -9 in the middle of a load.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contender::Contender;
use crate::launch::Instance;
use crate::load::{self, Pace};
use crate::machine;
use crate::request::Supply;
use crate::sink::Sink;
use crate::{Failure, fresh_folder};

/// Requests with a wrong signature.
const WRONG: usize = 50;
const CONNECTIONS: usize = 16;

/// How the phases are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ordeal {
    /// Webhooks a second.
    pub(crate) rate: u32,
    /// For so long the sink fails, and for so long before and after a kill there is a load.
    pub(crate) time: Duration,
    /// What was acknowledged and has not arrived within this counts as not arrived.
    pub(crate) patience: Duration,
    pub(crate) seed: u64,
}

/// What became of what was acknowledged.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Fate {
    pub(crate) acknowledged: usize,
    pub(crate) not_arrived: usize,
    pub(crate) double: usize,
    /// Until the last one arrived, after the sink was well again or the process had been started again.
    pub(crate) settled_secs: f64,
}

/// What one contender made of all of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Survived {
    /// Of 50 with a wrong signature; none may be.
    pub(crate) wrong_accepted: usize,
    pub(crate) wrong_arrived: usize,
    pub(crate) failing_sink: Fate,
    pub(crate) killed: Fate,
    /// From the start after the kill to the first webhook that was accepted.
    pub(crate) back_after_ms: f64,
}

pub(crate) fn survive(contender: Contender, mut ordeal: Ordeal) -> Result<Survived, Failure> {
    if !contender.forwards {
        ordeal.patience = Duration::ZERO;
    }
    let folder = fresh_folder()?;
    let sink = Sink::start(folder.path(), Duration::ZERO)?;
    let mut instance = Instance::new(contender, folder.path(), &sink.url())?;
    let address = instance.address.clone();
    let supply = |scheme, part: u64| Supply::new(&address, contender.path(), scheme, ordeal.seed ^ (part << 32), 0, false);
    let good = supply(contender.scheme(), 1);
    let (_, first) = instance.start(&good)?;
    let mut survived = Survived::default();

    let wrong = supply(contender.scheme().wrong(), 2);
    let wrong: Vec<_> = (0..WRONG).map(|_| wrong.take()).collect();
    survived.wrong_accepted = load::send(&address, &wrong)?.len();

    sink.set_failing(true)?;
    let mut acknowledged = load::run(&address, &good, CONNECTIONS, Pace::Open(ordeal.rate), ordeal.time)?.acknowledged;
    sink.set_failing(false)?;
    let healed = Instant::now();
    acknowledged.extend(load::run(&address, &good, CONNECTIONS, Pace::Open(ordeal.rate), Duration::from_secs(1))?.acknowledged);
    acknowledged.push(first.token);
    survived.failing_sink = fate(&sink, &acknowledged, healed, ordeal.patience)?;

    let loading = std::thread::spawn({
        let (address, path, scheme, seed) = (address.clone(), contender.path(), contender.scheme(), ordeal.seed ^ (3 << 32));
        move || {
            let supply = Supply::new(&address, path, scheme, seed, 0, false);
            load::run(&address, &supply, CONNECTIONS, Pace::Open(ordeal.rate), ordeal.time * 2).map_err(|error| error.to_string())
        }
    });
    machine::pause(ordeal.time);
    instance.kill();
    let killed = Instant::now();
    let (back, first) = instance.start(&supply(contender.scheme(), 4))?;
    survived.back_after_ms = back.as_secs_f64() * 1e3;
    let tally = loading.join().map_err(|_| "the load panicked")??;
    // A provider sends again what was not answered.
    let mut acknowledged = load::send(&address, &tally.unanswered)?;
    acknowledged.extend(tally.acknowledged);
    acknowledged.push(first.token);
    survived.killed = fate(&sink, &acknowledged, killed, ordeal.patience)?;
    let tokens = sink.tokens()?;
    survived.wrong_arrived = wrong.iter().filter(|request| tokens.contains_key(&request.token)).count();
    Ok(survived)
}

/// Waits until all that was acknowledged has arrived, but not for longer than this, and a moment more for what arrives twice.
fn fate(sink: &Sink, acknowledged: &[u64], since: Instant, patience: Duration) -> Result<Fate, Failure> {
    let missing = |tokens: &HashMap<u64, u32>| acknowledged.iter().filter(|token| !tokens.contains_key(token)).count();
    let (mut least, mut settled) = (usize::MAX, Duration::ZERO);
    while least > 0 && since.elapsed() < patience {
        let now = missing(&sink.tokens()?);
        if now < least {
            (least, settled) = (now, since.elapsed());
        }
        machine::pause(Duration::from_millis(100));
    }
    machine::pause(Duration::from_secs(1));
    let tokens = sink.tokens()?;
    let double = acknowledged.iter().filter(|token| tokens.get(token).is_some_and(|times| *times > 1)).count();
    Ok(Fate { acknowledged: acknowledged.len(), not_arrived: missing(&tokens), double, settled_secs: settled.as_secs_f64() })
}
