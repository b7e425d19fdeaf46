//! What the bench was asked for on its command line.

use std::time::Duration;

use crate::Failure;
use crate::contender::{ALL, Contender};

pub(crate) const HELP: &str = "\
scripts/bench: salebridge and what people use instead of it, on this machine, under the same load

  --quick            one short round; for seeing that everything works (about 5 minutes)
  --only A,B         only these contenders (the names are below)
  --phases A,B       of rate, open, faults, long; all by default (--quick leaves long out)
  --rounds N         rounds of the rate, of which medians are shown (5); of the open loop and the longer cases at most 3
  --seconds N        seconds of each round (8)
  --connections N    connections of the rate (128)
  --sink-ms N        milliseconds that the sink takes for each answer in rate, open and long (0)
  --seed N           chance of ids, names and amounts (1)
  --json             the results as JSON instead of tables
  --write            also writes the part of docs/performance.md between its marks, and docs/performance.svg
";

/// Read and checked.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) json: bool,
    pub(crate) write: bool,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    pub(crate) connections: usize,
    pub(crate) seed: u64,
    pub(crate) sink_delay: Duration,
    pub(crate) contenders: Vec<Contender>,
    phases: Vec<String>,
}

impl Options {
    pub(crate) fn read(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            quick: arguments.iter().any(|argument| argument == "--quick"),
            json: false,
            write: false,
            rounds: 5,
            time: Duration::from_secs(8),
            connections: 128,
            seed: 1,
            sink_delay: Duration::ZERO,
            contenders: ALL.to_vec(),
            phases: ["rate", "open", "faults", "long"].map(str::to_owned).to_vec(),
        };
        if options.quick {
            (options.rounds, options.time) = (1, Duration::from_secs(3));
            options.phases.pop();
        }
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" | "--bench" => {} // cargo adds the second one
                "--json" => options.json = true,
                "--write" => options.write = true,
                "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
                "--seconds" => options.time = Duration::from_secs(value()?.parse::<u64>()?.clamp(1, 240)),
                "--connections" => options.connections = value()?.parse::<usize>()?.max(1),
                "--seed" => options.seed = value()?.parse()?,
                "--sink-ms" => options.sink_delay = Duration::from_millis(value()?.parse::<u64>()?.min(10_000)),
                "--phases" => options.phases = value()?.split(',').map(str::to_owned).collect(),
                "--only" => options.contenders = chosen(value()?)?,
                unknown => return Err(format!("unknown option {unknown}\n\n{HELP}").into()),
            }
        }
        if let Some(unknown) = options.phases.iter().find(|phase| !["rate", "open", "faults", "long"].contains(&phase.as_str())) {
            return Err(format!("unknown phase {unknown}; there are rate, open, faults and long").into());
        }
        Ok(options)
    }

    pub(crate) fn has(&self, phase: &str) -> bool {
        self.phases.iter().any(|one| one == phase)
    }
}

fn chosen(names: &str) -> Result<Vec<Contender>, Failure> {
    let find = |name: &str| {
        let all = ALL.iter().map(|contender| contender.name).collect::<Vec<_>>().join(", ");
        ALL.into_iter()
            .find(|contender| contender.name == name)
            .ok_or_else(|| format!("unknown contender {name}; there are {all}").into())
    };
    names.split(',').map(find).collect()
}
