//! Why the store could not do what it was asked.

/// The store could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Too many requests wait for the disk already. Nobody's fault; trying again later helps.
    #[error("the store's queue is full")]
    Busy,
    /// The disk or the database refuses. The operator's to mend; trying again helps once it is.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store cannot be opened as it is. The operator's to mend.
    #[error("{0}")]
    Unusable(String),
    /// Another process that serves the same store changed the same at the same time; nothing was written.
    #[error("another replica changed the same: {0}")]
    Conflict(String),
    /// A stored row does not read as what was written: the file is damaged or was changed by hand.
    #[error("the store holds a damaged row: {0}")]
    Damaged(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
