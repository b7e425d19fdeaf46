//! What the service manager is told (systemd's `NOTIFY_SOCKET`), so that a unit of `Type=notify-reload` knows how it goes. Without a
//! manager nothing is told.

use sd_notify::NotifyState;

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Webhooks are taken, by the configuration that was read last.
    Ready,
    /// The configuration is being read anew.
    Reloading,
    /// It ends.
    Stopping,
}

/// Tells how it goes; `status` is for people.
pub fn tell(phase: Phase, status: &str) {
    let told = match phase {
        Phase::Ready => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]),
        // The manager tells by the time which READY=1 belongs to this one.
        Phase::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|since| sd_notify::notify(&[NotifyState::Reloading, since, NotifyState::Status(status)])),
        Phase::Stopping => sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status(status)]),
    };
    if let Err(error) = told {
        tracing::debug!(%error, "the service manager could not be told how it goes");
    }
}
