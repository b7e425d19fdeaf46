//! `salebridge store check|backup|copy`: whether what is stored agrees with itself, a copy to keep, and the way into PostgreSQL.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::print::Printer;
use super::{Answer, Failure, visit};
use crate::app;
use crate::domain::Secret;
use crate::store::{self, CheckView, CopiedView, Place, Sqlite};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read all that is stored, and say whether it agrees with itself
    Check,
    /// Copy the SQLite file beside the running bridge, and read the copy again
    Backup {
        /// The copy; it must not be there yet
        file: PathBuf,
    },
    /// Copy the SQLite file into an empty PostgreSQL database, while no bridge runs
    Copy(CopyArguments),
}

#[derive(Debug, Args)]
pub(super) struct CopyArguments {
    /// The database: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, value_name = "URL", env = "SALEBRIDGE_COPY_TO", hide_env_values = true)]
    to: String,
}

/// What a check answers programs with.
#[derive(Serialize)]
struct Checked<'a> {
    #[serde(flatten)]
    view: &'a CheckView,
    /// Copies that upgrades left beside the file.
    upgrade_copies: &'a [String],
}

pub(super) fn run(command: &Command, config: &Path, printer: &Printer) -> Answer {
    match command {
        Command::Check => check(config, printer),
        Command::Backup { file } => backup(file, config, printer),
        Command::Copy(arguments) => copy(arguments, config, printer),
    }
}

fn check(config: &Path, printer: &Printer) -> Answer {
    let view = visit(config)?.check()?;
    let copies = match app::store(config)? {
        Place::Sqlite(path) => Sqlite::copies(&path),
        Place::Postgres { .. } => Vec::new(),
    };
    let copies: Vec<String> = copies.iter().map(|copy| copy.display().to_string()).collect();
    if printer.is_json() {
        printer.json(&Checked { view: &view, upgrade_copies: &copies });
    } else {
        tell(&view, printer);
        for copy in &copies {
            printer.line(printer.quiet(&format!("{copy}: a copy of before an upgrade; remove it once nobody wants to go back")));
        }
    }
    match view.findings.len() {
        0 => Ok(()),
        broken => Err(Failure::No(format!("{broken} of {} checks do not hold; see docs/storage.md", view.checks))),
    }
}

fn tell(view: &CheckView, printer: &Printer) {
    if view.findings.is_empty() {
        printer.line(printer.good(&format!("all {} checks hold", view.checks)));
    } else {
        let rows = view.findings.iter().map(|finding| {
            let example = finding.example.map(|id| id.to_string()).unwrap_or_default();
            vec![finding.name.clone(), finding.count.to_string(), example, finding.wrong.clone()]
        });
        printer.table(&["CHECK", "COUNT", "EXAMPLE", "WHAT IS WRONG"], rows);
    }
    printer.line(format!("{} requests, {} sales, {} deliveries", view.requests, view.sales, view.deliveries));
}

fn backup(file: &Path, config: &Path, printer: &Printer) -> Answer {
    let path = in_file(config, "pg_dump --format=custom copies a PostgreSQL database beside running bridges")?;
    let view = Sqlite::backup(&path, file)?;
    if printer.is_json() {
        printer.json(&view);
    } else {
        let (requests, sales, bytes) = (view.requests, view.sales, view.bytes);
        printer.line(format!("{}: {requests} requests, {sales} sales, {bytes} bytes; read again and found sound", view.file));
    }
    Ok(())
}

fn copy(arguments: &CopyArguments, config: &Path, printer: &Printer) -> Answer {
    let path = in_file(config, "there is nothing to be copied out of a file")?;
    let target = store::Config { url: Secret::new(arguments.to.clone()), ..store::Config::default() };
    let url = match target.place(Path::new("")) {
        Ok(Place::Postgres { url, .. }) => url,
        Ok(Place::Sqlite(_)) | Err(_) => {
            return Err(Failure::Usage("--to must be postgres://USER:PASSWORD@HOST/DATABASE".to_owned()));
        }
    };
    let copied = store::copy(&path, &url, |table, rows| printer.progress(&format!("{table}: {rows} rows")));
    printer.progress("");
    let view = copied?;
    if printer.is_json() {
        printer.json(&view);
    } else {
        let row = |copied: &CopiedView| vec![copied.table.clone(), copied.rows.to_string(), copied.copied.to_string()];
        printer.table(&["TABLE", "ROWS", "COPIED"], view.tables.iter().map(row));
    }
    if !view.is_whole() {
        return Err(Failure::No("the copy is not whole: do not use it; was something else at work in that database?".to_owned()));
    }
    if !printer.is_json() {
        printer.line(format!("both sides have the same number of rows; requests that are yet to be settled: {}", view.unsettled));
        printer.line(format!(
            "now set store.url in {} to that database and start the bridges; never start one on {} again, because it would send what the \
             others have sent",
            config.display(),
            path.display()
        ));
    }
    Ok(())
}

/// The file of a configuration whose store is one; `otherwise` says what there is for the other kind.
fn in_file(config: &Path, otherwise: &str) -> Result<PathBuf, Failure> {
    match app::store(config)? {
        Place::Sqlite(path) => Ok(path),
        Place::Postgres { .. } => Err(Failure::Usage(format!("{}: store.url is no SQLite file: {otherwise}", config.display()))),
    }
}
