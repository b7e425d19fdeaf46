//! `salebridge version`: every version that an operator may have to compare, in one place.

use serde::Serialize;

use super::Answer;
use super::print::Printer;
use crate::app::{API_VERSION, CONFIG_FORMAT};
use crate::forward::TEMPLATE_FORMAT;
use crate::pack::PACK_FORMAT;
use crate::store::{Postgres, Sqlite};

/// The versions of this program and of what it reads and writes.
#[derive(Debug, Serialize)]
pub(super) struct Versions {
    /// The program's, by Semantic Versioning.
    pub(super) salebridge: &'static str,
    /// The newest format of `config.toml` that it reads.
    config_format: u32,
    /// The newest format of packs that it reads.
    pack_format: u32,
    /// The newest format of upstream templates that it reads.
    template_format: u32,
    /// The version of the admin API, as it stands in its paths.
    api: u32,
    /// The layout that it gives a SQLite file.
    sqlite_layout: usize,
    /// The layout that it gives a PostgreSQL database.
    postgresql_layout: usize,
}

impl Versions {
    pub(super) fn of_this_program() -> Self {
        Self {
            salebridge: env!("CARGO_PKG_VERSION"),
            config_format: CONFIG_FORMAT,
            pack_format: PACK_FORMAT,
            template_format: TEMPLATE_FORMAT,
            api: API_VERSION,
            sqlite_layout: Sqlite::newest_layout(),
            postgresql_layout: Postgres::newest_layout(),
        }
    }
}

pub(super) fn run(printer: &Printer) -> Answer {
    let versions = Versions::of_this_program();
    if printer.is_json() {
        printer.json(&versions);
        return Ok(());
    }
    let Versions { salebridge, config_format, pack_format, template_format, api, sqlite_layout, postgresql_layout } = versions;
    printer.line(format!("salebridge {salebridge}"));
    printer.line(format!("config     format {config_format}"));
    printer.line(format!("packs      format {pack_format}"));
    printer.line(format!("templates  format {template_format}"));
    printer.line(format!("API        v{api}"));
    printer.line(format!("SQLite     layout {sqlite_layout}"));
    printer.line(format!("PostgreSQL layout {postgresql_layout}"));
    Ok(())
}
