//! Where the store is, and for what it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Error, Postgres, Sqlite, Store, UpgradeView};
use crate::domain::Secret;

/// `[store]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Store")]
pub struct Config {
    /// Where everything is kept: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[schemars(extend("default" = "sqlite:salebridge.db"))]
    pub url: Secret,
    /// PostgreSQL only: at most so many connections of this process, 2 to 100.
    pub connections: usize,
    /// SQLite only: whether a whole copy is kept beside the file before its layout is changed.
    pub backup_before_upgrade: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: Secret::new("sqlite:salebridge.db"), connections: 8, backup_before_upgrade: true }
    }
}

impl Config {
    /// For what a server opens it.
    pub fn access(&self) -> Access {
        if self.backup_before_upgrade { Access::Serve } else { Access::ServeUncopied }
    }

    /// The place that is meant, paths relative to `folder`.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn place(&self, folder: &Path) -> Result<Place, (&'static str, String)> {
        let url = self.url.expose();
        if !(2..=100).contains(&self.connections) {
            return Err(("store.connections", "must be between 2 and 100".to_owned()));
        }
        match url.strip_prefix("sqlite:") {
            Some("") => Err(("store.url", "names no file: write sqlite:PATH".to_owned())),
            Some(path) => Ok(Place::Sqlite(folder.join(path))),
            None if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Place::Postgres { url: self.url.clone(), connections: self.connections })
            }
            None => {
                let text = "is not a store that is known: write sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE";
                Err(("store.url", text.to_owned()))
            }
        }
    }
}

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// One file, served by one process.
    Sqlite(PathBuf),
    /// A PostgreSQL database, served by any number of replicas.
    Postgres {
        /// Its URL, which may hold a password.
        url: Secret,
        /// At most so many connections.
        connections: usize,
    },
}

impl Place {
    /// Opens it. At most `queue_limit` requests wait to be written.
    ///
    /// # Errors
    /// What stands in the way, and what to do.
    pub fn open(&self, access: Access, queue_limit: usize) -> Result<Arc<dyn Store>, Error> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(Sqlite::open(path, access, queue_limit)?),
            Self::Postgres { url, connections } => Arc::new(Postgres::open(url, *connections, access, queue_limit)?),
        })
    }

    /// How it stands to this program's layout; changes nothing. `access` is what a server would open it for.
    ///
    /// # Errors
    /// What stands in the way, and what to do.
    pub fn look_ahead(&self, access: Access) -> Result<UpgradeView, Error> {
        match self {
            Self::Sqlite(path) => Sqlite::look_ahead(path, access == Access::Serve),
            Self::Postgres { url, .. } => Postgres::look_ahead(url),
        }
    }

    /// False where there certainly is no store yet.
    pub fn may_be_there(&self) -> bool {
        match self {
            Self::Sqlite(path) => path.exists(),
            Self::Postgres { .. } => true,
        }
    }
}

/// For what a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To serve: makes and migrates it. A file keeps every other server away, and is copied before its layout is changed.
    Serve,
    /// As `Serve`, but without that copy: whoever runs it has one of their own.
    ServeUncopied,
    /// To look at, or to change a little, beside a running server. It must be there.
    Visit,
    /// To serve for a moment from a store that nobody will miss: as `Serve`, but a file without waiting for the disk, and a database
    /// with leases by the caller's clock.
    Scratch,
}
