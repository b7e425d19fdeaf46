//! Requests that this process has just stored: the fold takes them from here instead of reading them again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::domain::{Request, RequestId};

/// No more bytes of requests than these are held; the fold reads the rest from the file.
const LIMIT_BYTES: usize = 2 * 1024 * 1024;
/// So much a request takes beside its own bytes.
const EACH_BYTES: usize = 512;

/// Requests by their numbers, until the fold has come past them.
#[derive(Default)]
pub(super) struct Fresh(Mutex<Held>);

#[derive(Default)]
struct Held {
    requests: BTreeMap<RequestId, Request>,
    bytes: usize,
    /// The fold has come up to here.
    through: RequestId,
}

impl Fresh {
    /// Holds a request that is stored under this number.
    pub(super) fn put(&self, id: RequestId, request: Request) {
        let mut held = self.held();
        let bytes = held.bytes + size(&request);
        if id > held.through && bytes <= LIMIT_BYTES {
            held.bytes = bytes;
            held.requests.insert(id, request);
        }
    }

    /// Hands over what is held of these numbers, which are in order, and forgets all that comes before the last of them.
    pub(super) fn take(&self, ids: &[RequestId]) -> BTreeMap<RequestId, Request> {
        let Some(last) = ids.last() else { return BTreeMap::new() };
        let mut held = self.held();
        let later = held.requests.split_off(&(last + 1));
        let taken = std::mem::replace(&mut held.requests, later);
        held.bytes -= taken.values().map(size).sum::<usize>();
        held.through = held.through.max(*last);
        taken
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("nobody panics while they look at a map")
    }
}

fn size(request: &Request) -> usize {
    EACH_BYTES + request.body.len() + request.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Headers, Timestamp};

    fn request(bytes: usize) -> Request {
        let (source, received_at) = ("shop".to_owned(), Timestamp::UNIX_EPOCH);
        let body = vec![b'x'; bytes];
        Request { source, headers: Headers::default(), body, query: None, url: None, path_token: None, peer: None, received_at }
    }

    #[test]
    fn what_the_fold_has_passed_is_not_held() {
        let fresh = Fresh::default();
        for id in [2, 1, 4] {
            fresh.put(id, request(1));
        }
        assert_eq!(fresh.take(&[1, 2, 3]).into_keys().collect::<Vec<_>>(), [1, 2]);
        fresh.put(3, request(1));
        assert_eq!(fresh.take(&[3, 4]).into_keys().collect::<Vec<_>>(), [4]);
        assert_eq!((fresh.held().bytes, fresh.take(&[]).len()), (0, 0));
    }

    #[test]
    fn no_more_is_held_than_the_limit() {
        let fresh = Fresh::default();
        fresh.put(1, request(LIMIT_BYTES - EACH_BYTES));
        fresh.put(2, request(1));
        assert_eq!(fresh.take(&[1]).len(), 1);
        fresh.put(3, request(1));
        assert_eq!(fresh.take(&[2, 3]).into_keys().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn headers_count_as_well() {
        let fresh = Fresh::default();
        let mut long = request(0);
        long.headers.add("x-long", "x".repeat(LIMIT_BYTES / 2));
        for id in 1..=4 {
            fresh.put(id, long.clone());
        }
        assert_eq!(fresh.take(&[4]).len(), 1);
        assert_eq!(fresh.held().bytes, 0);
    }
}
