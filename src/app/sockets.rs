//! Listening sockets that the service manager has bound and hands over (systemd's `LISTEN_FDS`): requests wait in them while one
//! process follows another, so that a restart refuses nobody.

use std::net::TcpListener;

use listenfd::ListenFd;

use super::bridge::StartError;

/// The sockets that were handed over; `None` where the bridge has to bind its own.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For webhooks.
    pub public: Option<TcpListener>,
    /// For the operator.
    pub admin: Option<TcpListener>,
}

impl Sockets {
    /// What was handed over to this process: by the names `public` and `admin` (`FileDescriptorName=`), or where no socket has such a
    /// name in this order.
    ///
    /// # Errors
    /// A socket that is no listening TCP socket, or one too many.
    pub fn handed_over() -> Result<Self, StartError> {
        let mut handed = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = Self::default();
        for (index, place) in places(&names, handed.len()).map_err(StartError::Machine)?.into_iter().enumerate() {
            let unfit = |cause: &dyn std::fmt::Display| {
                StartError::Machine(format!("the socket that was handed over for {} cannot be used: {cause}", place.name()))
            };
            let listener = handed.take_tcp_listener(index).map_err(|error| unfit(&error))?;
            let listener = listener.ok_or_else(|| unfit(&"it is taken already"))?;
            listener.set_nonblocking(true).map_err(|error| unfit(&error))?;
            match place {
                Place::Public => sockets.public = Some(listener),
                Place::Admin => sockets.admin = Some(listener),
            }
        }
        Ok(sockets)
    }
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Public,
    Admin,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admin => "admin",
        }
    }
}

/// What each of `count` sockets is for.
fn places(names: &str, count: usize) -> Result<Vec<Place>, String> {
    let order = [Place::Public, Place::Admin];
    let names: Vec<&str> = names.split(':').collect();
    let named = |index: usize| order.into_iter().find(|place| names.get(index) == Some(&place.name()));
    let is_named = (0..count).any(|index| named(index).is_some());
    let mut places = Vec::new();
    for index in 0..count {
        let place = if is_named { named(index) } else { order.get(index).copied() };
        let place = place
            .ok_or_else(|| format!("{count} sockets were handed over; there is use for one named public and one named admin"))?;
        if places.contains(&place) {
            return Err(format!("two sockets named {} were handed over", place.name()));
        }
        places.push(place);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::{Place, places};

    #[test]
    fn sockets_are_known_by_name_or_else_by_order() {
        let both = Ok(vec![Place::Public, Place::Admin]);
        assert_eq!(places("public:admin", 2), both);
        assert_eq!(places("salebridge.socket:salebridge.socket", 2), both);
        assert_eq!(places("", 2), both);
        assert_eq!(places("admin:public", 2), Ok(vec![Place::Admin, Place::Public]));
        assert_eq!(places("admin", 1), Ok(vec![Place::Admin]));
        assert_eq!(places("", 0), Ok(Vec::new()));
        assert!(places("", 3).is_err() && places("public:other", 2).is_err() && places("public:public", 2).is_err());
    }
}
