//! Requests as they are stored: headers and body in one frame of zstd, by a dictionary of what requests of their source have in common.
//!
//! A provider's webhooks differ in a few hundred bytes of some thousands. What the rest is like is learned from the first of a source, and
//! anew as there come many more; a frame says by which dictionary it was packed, and dictionaries stay for as long as the store does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use zstd::zstd_safe::{CCtx, CDict, DCtx, DDict, compress_bound, get_frame_content_size};

use super::Error;
use crate::domain::{Headers, Request};

/// zstd's own measure of effort: the quickest of its usual ones.
const LEVEL: i32 = 1;
/// A dictionary is learned from so many requests at most, the newest.
pub(super) const SAMPLES_LIMIT: usize = 128;
/// And from so many bytes of them.
pub(super) const SAMPLES_LIMIT_BYTES: usize = 2 * 1024 * 1024;
/// The first dictionary of a source is learned once so many of its requests have come.
const FIRST_AFTER: u64 = 256;
/// Another one once there are so many times as many.
const AGAIN_AFTER: u64 = 16;
/// A dictionary has at most so many bytes.
const DICTIONARY_LIMIT_BYTES: usize = 16 * 1024;
/// What is longer is looked at in parts, so that one request does not take all the room.
const PART_LIMIT_BYTES: usize = DICTIONARY_LIMIT_BYTES / 2;
/// How often letters come in what is new in a webhook, as a dictionary begins; made by `scripts/vocabulary letters`.
const LETTERS: &[u8] = include_bytes!("packing/letters.bin");
/// Requests are compared by pieces of so many bytes, which is what zstd finds again for certain.
const PIECE: usize = 8;
/// Places for the hashes of pieces: of 128 webhooks each of some that meet in one has little weight.
const PLACES: usize = 1 << u16::BITS;
/// Spreads pieces over the places: 2⁶⁴ by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// No request is as long: what says so is damaged.
const UNPACKED_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// So much room a thread keeps for the next request.
const SCRATCH_BYTES: usize = 16 * 1024;
/// Before the headers stands how long they are.
const LENGTH_BYTES: usize = 4;
/// The number of "no dictionary".
const NONE: i64 = 0;

/// Headers and body of a request as they are stored.
pub(super) struct Packed {
    /// The frame.
    pub(super) bytes: Vec<u8>,
    /// By which dictionary.
    pub(super) dictionary: i64,
    /// How long the body is.
    pub(super) body_bytes: usize,
}

/// A dictionary that requests are packed by.
#[derive(Clone)]
struct Encoder {
    id: i64,
    dictionary: Arc<CDict<'static>>,
}

/// What is known of the requests of a source.
#[derive(Default)]
struct Known {
    encoder: Option<Encoder>,
    /// So many have come.
    seen: AtomicU64,
    /// Once so many have come, a dictionary is learned.
    due_at: u64,
}

/// The dictionaries of a store, as a process has read them.
#[derive(Default)]
pub(super) struct Packing {
    sources: RwLock<HashMap<String, Arc<Known>>>,
    decoders: RwLock<HashMap<i64, Arc<DDict<'static>>>>,
}

/// What a thread packs with: where nothing is made anew for each request.
struct Packer {
    context: CCtx<'static>,
    text: Vec<u8>,
    frame: Vec<u8>,
}

thread_local! {
    static PACKER: RefCell<Packer> = RefCell::new(Packer { context: CCtx::create(), text: Vec::new(), frame: Vec::new() });
    static UNPACKER: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

impl Packing {
    /// Packs a new request.
    pub(super) fn pack(&self, request: &Request) -> Packed {
        let known = self.known(&request.source);
        known.seen.fetch_add(1, Ordering::Relaxed);
        let bytes = PACKER.with_borrow_mut(|Packer { context, text, frame }| {
            text.clear();
            write_plain(text, &request.headers, &request.body);
            frame.clear();
            frame.reserve(compress_bound(text.len()));
            let packed = match &known.encoder {
                Some(encoder) => context.compress_using_cdict(frame, text, &encoder.dictionary),
                None => context.compress(frame, text, LEVEL),
            };
            packed.expect("there is room for whatever comes out");
            let bytes = frame.as_slice().to_vec();
            // A rare large request leaves nothing behind.
            text.shrink_to(SCRATCH_BYTES);
            frame.shrink_to(SCRATCH_BYTES);
            bytes
        });
        Packed { bytes, dictionary: known.encoder.as_ref().map_or(NONE, |encoder| encoder.id), body_bytes: request.body.len() }
    }

    /// Unpacks a frame. `find` reads a dictionary that this process has not read yet.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is no such frame or its dictionary is gone, and whatever `find` answers.
    pub(super) fn unpack(
        &self,
        frame: &[u8],
        dictionary: i64,
        find: impl FnOnce(i64) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<(Headers, Vec<u8>), Error> {
        let length = get_frame_content_size(frame).ok().flatten().filter(|length| *length <= UNPACKED_LIMIT_BYTES);
        let length = length.and_then(|length| usize::try_from(length).ok()).ok_or_else(damaged)?;
        let decoder = if dictionary == NONE { None } else { Some(self.decoder(dictionary, find)?) };
        let mut text: Vec<u8> = Vec::with_capacity(length);
        let unpacked = UNPACKER.with_borrow_mut(|unpacker| match &decoder {
            Some(decoder) => unpacker.decompress_using_ddict(&mut text, frame, decoder),
            None => unpacker.decompress(&mut text, frame),
        });
        unpacked.map_err(|_| damaged())?;
        let (length, _) = text.split_first_chunk::<LENGTH_BYTES>().ok_or_else(damaged)?;
        let end = usize::try_from(u32::from_le_bytes(*length)).ok().and_then(|length| length.checked_add(LENGTH_BYTES));
        let end = end.filter(|end| *end <= text.len()).ok_or_else(damaged)?;
        let headers = std::str::from_utf8(&text[LENGTH_BYTES..end]).map_err(|_| damaged())?;
        let headers = headers_from_json(headers)?;
        text.drain(..end);
        Ok((headers, text))
    }

    /// The sources for which a dictionary is to be learned, with how many of their requests have come.
    pub(super) fn due(&self) -> Vec<(String, u64)> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        let due = sources.iter().map(|(source, known)| (source, known.seen.load(Ordering::Relaxed), known.due_at));
        due.filter(|(_, seen, due_at)| seen >= due_at).map(|(source, seen, _)| (source.clone(), seen)).collect()
    }

    /// Of this source so many requests had come before this process began.
    pub(super) fn start(&self, source: &str, seen: u64) {
        self.set(source, |known| Known { encoder: known.encoder.clone(), seen: seen.into(), due_at: known.due_at });
    }

    /// From now on requests of this source are packed by this dictionary, which is stored under this number.
    pub(super) fn begin(&self, source: &str, id: i64, dictionary: &[u8], learned_from: u64) {
        let encoder = CDict::try_create(dictionary, LEVEL).map(|dictionary| Encoder { id, dictionary: Arc::new(dictionary) });
        self.set(source, |known| Known {
            encoder: encoder.or_else(|| known.encoder.clone()),
            seen: known.seen.load(Ordering::Relaxed).into(),
            due_at: learned_from.saturating_mul(AGAIN_AFTER).max(FIRST_AFTER),
        });
    }

    /// Nothing could be learned of this source now: it is tried again once there are more of its requests.
    pub(super) fn put_off(&self, source: &str, seen: u64) {
        self.set(source, |known| Known {
            encoder: known.encoder.clone(),
            seen: known.seen.load(Ordering::Relaxed).into(),
            due_at: seen.saturating_add(FIRST_AFTER),
        });
    }

    fn known(&self, source: &str) -> Arc<Known> {
        if let Some(known) = self.sources.read().unwrap_or_else(PoisonError::into_inner).get(source) {
            return Arc::clone(known);
        }
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Known { due_at: FIRST_AFTER, ..Known::default() });
        Arc::clone(sources.entry(source.to_owned()).or_insert_with(new))
    }

    fn set(&self, source: &str, change: impl FnOnce(&Known) -> Known) {
        let known = change(&self.known(source));
        self.sources.write().unwrap_or_else(PoisonError::into_inner).insert(source.to_owned(), Arc::new(known));
    }

    fn decoder(&self, id: i64, find: impl FnOnce(i64) -> Result<Option<Vec<u8>>, Error>) -> Result<Arc<DDict<'static>>, Error> {
        if let Some(decoder) = self.decoders.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(decoder));
        }
        let gone = || Error::Damaged(format!("dictionary {id} of stored requests"));
        let bytes = find(id)?.ok_or_else(gone)?;
        let decoder = Arc::new(DDict::try_create(&bytes).ok_or_else(gone)?);
        self.decoders.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&decoder));
        Ok(decoder)
    }
}

/// Learns what these requests have in common; nothing where that is nothing.
///
/// A dictionary of zstd (RFC 8878, section 5) is how often letters come in what is new, and a text: here some of the requests, or of
/// the parts of long ones, each the one that has most of what is common and not there yet. zstd's own way to learn makes no smaller frames of webhooks, but takes 14 MB for it.
pub(super) fn learn(samples: &[Request]) -> Option<Vec<u8>> {
    let samples: Vec<Vec<u8>> = samples.iter().map(|request| plain(&request.headers, &request.body)).collect();
    let text = typical(&samples);
    (text.len() >= PIECE).then(|| [LETTERS, &text].concat())
}

/// The text of a dictionary: what is most common stands last.
fn typical(samples: &[Vec<u8>]) -> Vec<u8> {
    let mut pieces = Pieces { having: vec![0; PLACES], seen_by: vec![0; PLACES], passes: 0 };
    for sample in samples {
        pieces.each(sample, |having| *having = having.saturating_add(1));
    }
    let mut left: Vec<&[u8]> = samples.iter().flat_map(|sample| sample.chunks(PART_LIMIT_BYTES)).collect();
    let mut text: Vec<u8> = Vec::new();
    while text.len() < DICTIONARY_LIMIT_BYTES {
        let mut best: Option<(u64, usize)> = None;
        for (place, sample) in left.iter().enumerate() {
            let mut worth: u64 = 0;
            // What only one of them has is not common.
            pieces.each(sample, |having| worth += u64::from(*having).saturating_sub(1));
            let worth = worth * 1024 / sample.len().max(1) as u64;
            best = best.max((worth > 0).then_some((worth, place)));
        }
        let Some((_, place)) = best else { break };
        let sample = left.swap_remove(place);
        pieces.each(sample, |having| *having = 0);
        text.splice(..0, sample.iter().copied());
    }
    text.drain(..text.len().saturating_sub(DICTIONARY_LIMIT_BYTES));
    text
}

/// The pieces of some samples, by their hashes.
struct Pieces {
    /// So many samples have a piece.
    having: Vec<u16>,
    /// The pass that met it last.
    seen_by: Vec<u32>,
    passes: u32,
}

impl Pieces {
    /// Does something with every piece of a sample, once.
    fn each(&mut self, sample: &[u8], mut what: impl FnMut(&mut u16)) {
        self.passes += 1;
        for piece in sample.array_windows::<PIECE>() {
            // Multiplied, the highest bits depend on all of the piece.
            let [.., low, high] = u64::from_le_bytes(*piece).wrapping_mul(SPREAD).to_le_bytes();
            let place = usize::from(u16::from_le_bytes([low, high]));
            if std::mem::replace(&mut self.seen_by[place], self.passes) != self.passes {
                what(&mut self.having[place]);
            }
        }
    }
}

/// [`learn`], on a thread where it stands in nobody's way: it takes some hundredths of a second.
pub(super) async fn learn_aside(samples: Vec<Request>) -> Option<Vec<u8>> {
    tokio::task::spawn_blocking(move || learn(&samples)).await.ok().flatten()
}

/// What is packed: how long the headers are, the headers, the body.
fn plain(headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    write_plain(&mut text, headers, body);
    text
}

fn write_plain(text: &mut Vec<u8>, headers: &Headers, body: &[u8]) {
    text.extend_from_slice(&[0; LENGTH_BYTES]);
    let pairs: Vec<(&str, &str)> = headers.iter().collect();
    serde_json::to_writer(&mut *text, &pairs).expect("pairs of texts are JSON");
    let length = u32::try_from(text.len() - LENGTH_BYTES).expect("headers are limited to some kilobytes");
    text[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    text.extend_from_slice(body);
}

/// Headers as they are stored.
///
/// # Errors
/// [`Error::Damaged`]: they are not.
pub(super) fn headers_from_json(text: &str) -> Result<Headers, Error> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text)?;
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.add(&name, value);
    }
    Ok(headers)
}

fn damaged() -> Error {
    Error::Damaged("a packed request".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn request(body: &[u8]) -> Request {
        let mut headers = Headers::default();
        headers.add("content-type", "application/json".to_owned());
        let (source, body) = ("shop".to_owned(), body.to_vec());
        let received_at = Timestamp::UNIX_EPOCH;
        Request { source, headers, body, query: None, url: None, path_token: None, peer: None, received_at }
    }

    fn sale(number: usize) -> Request {
        let id = number * 7919 % 100_003;
        request(
            format!(r#"{{"object":"event","type":"checkout.session.completed","data":{{"id":"cs_{id}","amount":{number}}}}}"#)
                .as_bytes(),
        )
    }

    fn unpacked(packing: &Packing, packed: &Packed, dictionary: Option<&[u8]>) -> Result<(Headers, Vec<u8>), Error> {
        packing.unpack(&packed.bytes, packed.dictionary, |_| Ok(dictionary.map(<[u8]>::to_vec)))
    }

    #[test]
    fn what_is_packed_comes_out_as_it_went_in() {
        let packing = Packing::default();
        for body in [&b""[..], b"{}", &[0xff, 0x00, 0xfe], &vec![b'x'; 100_000]] {
            let packed = packing.pack(&request(body));
            let (headers, found) = unpacked(&packing, &packed, None).unwrap();
            assert_eq!((found.as_slice(), packed.body_bytes, packed.dictionary), (body, body.len(), NONE));
            assert_eq!(headers.iter().collect::<Vec<_>>(), [("content-type", "application/json")]);
        }
    }

    #[test]
    fn a_dictionary_makes_requests_small_and_is_read_once() {
        let packing = Packing::default();
        let before = packing.pack(&sale(1)).bytes.len();
        let dictionary = learn(&(0..500).map(sale).collect::<Vec<_>>()).unwrap();
        packing.begin("shop", 3, &dictionary, 256);
        let packed = packing.pack(&sale(1));
        assert_eq!(packed.dictionary, 3);
        assert!(packed.bytes.len() * 2 < before, "{} of {before}", packed.bytes.len());
        let fresh = Packing::default();
        assert!(matches!(unpacked(&fresh, &packed, None), Err(Error::Damaged(_))));
        assert_eq!(unpacked(&fresh, &packed, Some(&dictionary)).unwrap().1, sale(1).body);
        assert_eq!(unpacked(&fresh, &packed, None).unwrap().1, sale(1).body);
    }

    #[test]
    fn the_text_of_a_dictionary_is_what_most_have_and_what_is_new_of_the_others() {
        let common = [b'a'..=b'z', b'A'..=b'Z'].into_iter().flatten().collect::<Vec<u8>>();
        let samples: Vec<Vec<u8>> = vec![
            b"nobody else says this at all, ever".to_vec(),
            [&common, b"1".as_slice()].concat(),
            [b"2", common.as_slice()].concat(),
            b"two of them say this, 3".to_vec(),
            b"4: two of them say this, ".to_vec(),
        ];
        let text = String::from_utf8(typical(&samples)).unwrap();
        let alphabet = String::from_utf8(common).unwrap();
        let is_there = |piece: &str| text.matches(piece).count();
        assert_eq!((is_there(&alphabet), is_there("two of them say this, "), is_there("nobody")), (1, 1, 0), "{text}");
        assert!(text.ends_with(&alphabet[alphabet.len() - 8..]) || text.ends_with('1'), "the most common stands last: {text}");
        assert_eq!(typical(&vec![vec![b'x'; 99]; 300]).len(), 99, "one says all");
        let long: Vec<Vec<u8>> = (0..40_u32).map(|n| (n..n + 9000).flat_map(u32::to_be_bytes).collect()).collect();
        assert_eq!(typical(&long).len(), DICTIONARY_LIMIT_BYTES);
        let varied: Vec<Vec<u8>> = (0..40).map(|n| [alphabet.as_bytes(), &[n; 40_000]].concat()).collect();
        let text = String::from_utf8(typical(&varied)).unwrap();
        assert!(text.contains(&alphabet) && text.len() < DICTIONARY_LIMIT_BYTES, "a part of a long one is enough");
        assert!(learn(&[]).is_none() && learn(&[sale(1)]).is_none(), "one has nothing in common with anybody");
    }

    #[test]
    fn a_dictionary_is_due_by_how_many_came() {
        let packing = Packing::default();
        packing.start("old", 5_000);
        packing.start("new", 255);
        packing.begin("old", 1, b"", 300);
        assert_eq!(packing.due(), [("old".to_owned(), 5_000)]);
        packing.pack(&Request { source: "new".to_owned(), ..sale(1) });
        packing.begin("old", 2, b"", 5_000);
        assert_eq!(packing.due(), [("new".to_owned(), 256)]);
        packing.put_off("new", 256);
        assert!(packing.due().is_empty());
    }

    #[test]
    fn what_is_damaged_is_said_to_be() {
        let packing = Packing::default();
        let packed = packing.pack(&sale(1));
        let unpack = |bytes: &[u8]| packing.unpack(bytes, NONE, |_| Ok(None));
        assert!(matches!(unpack(b""), Err(Error::Damaged(_))));
        assert!(matches!(unpack(&packed.bytes[..packed.bytes.len() - 3]), Err(Error::Damaged(_))));
        let short = zstd::bulk::compress(&[9, 0, 0, 0, b'['], LEVEL).unwrap();
        assert!(matches!(unpack(&short), Err(Error::Damaged(_))));
    }
}
