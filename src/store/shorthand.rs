//! Shorthand: what the bridge itself notes of sales, customers and attempts says nearly the same each time, so it is stored as what it adds
//! to a vocabulary that every reader has.
//!
//! A note is a frame of zstd, which names its vocabulary by a number: a text of such notes that is part of the program, made ready by
//! `scripts/vocabulary`. A released one is never edited; a better one gets the next number, and what was written by the former stays readable.

use std::cell::RefCell;
use std::sync::LazyLock;

use serde::Serialize;
use zstd::zstd_safe::{CCtx, CDict, DCtx, DDict, compress_bound, get_dict_id_from_frame, get_frame_content_size};

use super::Error;

/// The vocabulary that notes are written by.
const VOCABULARY: &[u8] = include_bytes!("shorthand/vocabulary-1.dict");
/// Its number.
const NUMBER: u32 = 1;
/// zstd's own measure of effort.
const LEVEL: i32 = 3;
/// No note is as long: what says so is damaged.
const LENGTH_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// So much room a thread keeps for the next note.
const SCRATCH_BYTES: usize = 16 * 1024;

static WRITER: LazyLock<CDict<'static>> = LazyLock::new(|| CDict::create(VOCABULARY, LEVEL));
static READER: LazyLock<DDict<'static>> = LazyLock::new(|| DDict::create(VOCABULARY));

/// What a thread writes with: where nothing is made anew for each note.
struct Writing {
    context: CCtx<'static>,
    text: Vec<u8>,
    frame: Vec<u8>,
}

thread_local! {
    static WRITING: RefCell<Writing> = RefCell::new(Writing { context: CCtx::create(), text: Vec::new(), frame: Vec::new() });
    static READING: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// A text in shorthand.
pub(super) fn write(text: &str) -> Vec<u8> {
    WRITING.with_borrow_mut(|Writing { context, frame, .. }| pack(context, frame, text.as_bytes()))
}

/// A structure in shorthand, as JSON.
///
/// # Errors
/// It cannot be JSON.
pub(super) fn write_json(of: &impl Serialize) -> Result<Vec<u8>, Error> {
    WRITING.with_borrow_mut(|Writing { context, frame, text }| {
        text.clear();
        serde_json::to_writer(&mut *text, of)?;
        let note = pack(context, frame, text);
        text.shrink_to(SCRATCH_BYTES);
        Ok(note)
    })
}

fn pack(context: &mut CCtx<'static>, frame: &mut Vec<u8>, text: &[u8]) -> Vec<u8> {
    frame.clear();
    frame.reserve(compress_bound(text.len()));
    context.compress_using_cdict(frame, text, &WRITER).expect("there is room for whatever comes out");
    let note = frame.as_slice().to_vec();
    // A rare long note leaves nothing behind.
    frame.shrink_to(SCRATCH_BYTES);
    note
}

/// The text of a note.
///
/// # Errors
/// [`Error::Damaged`]: it is none, or written by a vocabulary that this program does not have.
pub(super) fn read(note: &[u8]) -> Result<String, Error> {
    if get_dict_id_from_frame(note).is_none_or(|number| number.get() != NUMBER) {
        return Err(damaged());
    }
    let length = get_frame_content_size(note).ok().flatten().filter(|length| *length <= LENGTH_LIMIT_BYTES);
    let length = length.and_then(|length| usize::try_from(length).ok()).ok_or_else(damaged)?;
    let mut text: Vec<u8> = Vec::with_capacity(length);
    READING.with_borrow_mut(|context| context.decompress_using_ddict(&mut text, note, &READER)).map_err(|_| damaged())?;
    String::from_utf8(text).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::Damaged("a note in shorthand".to_owned())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    const ATTEMPT: &str = "POST https://api.cme.sh/track/sale\nAccept: application/json\nContent-Type: application/json\n\n\
         {\"clickId\":\"clk_1\",\"eventName\":\"order_paid\",\"customerExternalId\":\"user_1\",\"amount\":12.5,\"currency\":\"USD\"}";

    #[test]
    fn a_note_comes_out_as_it_went_in() {
        for text in ["", "{}", ATTEMPT, "Καλημέρα \u{0} 👋", &"long ".repeat(100_000)] {
            assert_eq!(read(&write(text)).unwrap(), text);
        }
    }

    #[test]
    fn what_is_usually_said_is_short() {
        let note = write(ATTEMPT);
        assert!(note.len() * 3 < ATTEMPT.len(), "{} of {}", note.len(), ATTEMPT.len());
    }

    #[test]
    fn a_vocabulary_is_never_edited_because_what_is_stored_would_be_unreadable() {
        let digest = hex::encode(Sha256::digest(VOCABULARY));
        assert_eq!(digest, "ea48ae01e477afdaae84bee4a13234c5a784ced48e31de98dd46efe1febb225c");
        assert!(VOCABULARY.ends_with(include_bytes!("shorthand/vocabulary-1.txt")));
    }

    #[test]
    fn what_is_damaged_is_said_to_be() {
        let note = write(ATTEMPT);
        let by_none = zstd::bulk::compress(ATTEMPT.as_bytes(), LEVEL).unwrap();
        let no_text = zstd::bulk::Compressor::with_dictionary(LEVEL, VOCABULARY).unwrap().compress(&[0xff]).unwrap();
        for damage in [&b""[..], &note[..5], &note[..note.len() - 3], &by_none, &no_text] {
            assert!(matches!(read(damage), Err(Error::Damaged(_))));
        }
    }
}
