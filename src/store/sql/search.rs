//! Sales by what people know of them: an invoice, an e-mail address, a customer, a click, a provider's id.
//!
//! An index over each of these would cost every sale a write in a place of chance. Instead, once a block of sales is some minutes old,
//! the hashes of their values are written together, sorted, in a few parts by their highest bits. A search looks through that part of
//! every block in which its hash would stand, reads the sales it points at, and compares the values themselves. What changes later is
//! noted by itself.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::names::SALES_OF_VALUE;
use super::row::{INVOICE_ID, damaged, invoice_id};
use super::{Db, Row, question, values};
use crate::domain::{Sale, SaleId, Timestamp};
use crate::store::Error;

/// So many numbers of sales make a block.
const BLOCK: SaleId = 1024;
/// Parts of a block. More would make a search shorter and writing a block longer: each part is a page.
const PARTS: u32 = 64;
/// Stands in the place of a part, where a block is being read.
const BEGUN: i64 = PARTS as i64;
/// After so long most of what changes a sale has come.
const SETTLED_AFTER_MILLIS: i64 = 30 * 1000;
/// After so long a sale is also in no other process' open transaction any more.
const SETTLED_AFTER_MILLIS_SHARED: i64 = 10 * 60 * 1000;
/// Bytes of an entry: the hash, and the sale's place in its block.
const ENTRY: usize = 6;
/// A search that finds more is too wide.
const MOST: usize = 1000;

/// The part of a sale by which it is found.
const COLUMNS: &str = "id, customer, customer_external_id, click_id, email";

/// The numbers of the sales of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Block {
    first: SaleId,
    last: SaleId,
}

/// Writes the next block, where one is complete and old enough, in one transaction that keeps its sales from being changed. Answers
/// whether there may be another.
pub(in crate::store) fn seal(db: &dyn Db, now: Timestamp) -> Result<bool, Error> {
    let Some(block) = next(db, now)? else { return Ok(false) };
    write(db, block, &entries(db, block)?)?;
    Ok(true)
}

/// The next block, where one is complete and old enough.
pub(in crate::store) fn next(db: &dyn Db, now: Timestamp) -> Result<Option<Block>, Error> {
    let sealed = sealed_through(db)?;
    let block = Block { first: sealed + 1, last: sealed + BLOCK };
    let youngest: Option<i64> = db.value("SELECT MAX(id) FROM sales", &[])?;
    if youngest.is_none_or(|youngest| youngest <= block.last) {
        return Ok(None);
    }
    let sql = "SELECT COALESCE(MAX(counted_at), 0) FROM sales WHERE id >= ?1 AND id <= ?2";
    let counted_at: i64 = db.value(sql, values![block.first, block.last])?;
    let settled_after = if db.dialect().is_shared { SETTLED_AFTER_MILLIS_SHARED } else { SETTLED_AFTER_MILLIS };
    Ok((counted_at <= now.as_millisecond() - settled_after).then_some(block))
}

/// From now on changes of this block's sales are [noted](note_changed), so that it may be read beside whatever else is written.
pub(in crate::store) fn begin(db: &dyn Db, block: Block) -> Result<(), Error> {
    db.write(
        "INSERT INTO sale_hashes (part, last, hashes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        values![BEGUN, block.last, b""],
    )
}

/// What stands in a block, in its order: hashes, and the places of their sales.
pub(in crate::store) fn entries(db: &dyn Db, block: Block) -> Result<Vec<(u32, u16)>, Error> {
    let sql =
        format!("SELECT {COLUMNS}, {INVOICE_ID} FROM sales s WHERE id >= ?1 AND id <= ?2 ORDER BY id{}", db.dialect().for_update);
    let mut entries: Vec<(u32, u16)> = Vec::new();
    db.query(&sql, values![block.first, block.last], &mut |row| {
        let place =
            u16::try_from(row.get::<SaleId>(0)? - block.first).map_err(|_| damaged("the place of a sale in its block"))?;
        entries.extend(known_by(row)?.iter().map(|value| (hash(value), place)));
        Ok(())
    })?;
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}

/// Writes a block. From then on its sales are found by it.
pub(in crate::store) fn write(db: &dyn Db, block: Block, entries: &[(u32, u16)]) -> Result<(), Error> {
    let mut rest = entries;
    // Every part is written, also an empty one: the first tells how far the blocks reach.
    for part in 0..PARTS {
        let (here, later) = rest.split_at(rest.partition_point(|(hash, _)| part_of(*hash) <= part));
        rest = later;
        let hashes: Vec<u8> =
            here.iter().flat_map(|(hash, place)| hash.to_be_bytes().into_iter().chain(place.to_be_bytes())).collect();
        let sql = "INSERT INTO sale_hashes (part, last, hashes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        db.write_row(sql, 2, values![i64::from(part), block.last, hashes])?;
    }
    db.write("DELETE FROM sale_hashes WHERE part = ?1", values![BEGUN])
}

/// Notes sales that have changed after their block was written, or since it is being read.
pub(in crate::store) fn note_changed(db: &dyn Db, sales: &[Sale]) -> Result<(), Error> {
    if sales.is_empty() {
        return Ok(());
    }
    let begun: i64 = db.value("SELECT COALESCE(MAX(last), 0) FROM sale_hashes WHERE part = ?1", values![BEGUN])?;
    let sealed = sealed_through(db)?.max(begun);
    let sql = "INSERT INTO sale_hashes_later (hash, sale) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    for sale in sales.iter().filter(|sale| sale.id <= sealed) {
        let buyer = &sale.buyer;
        let told = [&buyer.customer_external_id, &buyer.click_id, &buyer.email].map(|found| Some(found.as_ref()?.value.clone()));
        let known = told.into_iter().flatten().chain(buyer.customer.clone()).chain(sale.invoice_id());
        let hashes: BTreeSet<u32> = known.map(|value| hash(&value)).collect();
        hashes.into_iter().try_for_each(|hash| db.write_row(sql, 2, values![i64::from(hash), sale.id]))?;
    }
    Ok(())
}

/// The numbers of the sales that are known by exactly this: an invoice id, an e-mail address (in any case), a customer, a click or a
/// provider's id. Newest first.
pub(in crate::store) fn search(db: &dyn Db, text: &str) -> Result<Vec<SaleId>, Error> {
    let mut found: BTreeSet<SaleId> = by_key(db, text)?;
    let wanted = hash(text);
    let mut candidates: BTreeSet<SaleId> = BTreeSet::new();
    let part = "SELECT last, hashes FROM sale_hashes WHERE part = ?1 ORDER BY last";
    db.query(part, values![i64::from(part_of(wanted))], &mut |row| {
        let first = row.get::<SaleId>(0)? - BLOCK + 1;
        candidates.extend(places(row.bytes(1)?, wanted).map(|place| first + SaleId::from(place)));
        Ok(())
    })?;
    let later = "SELECT sale FROM sale_hashes_later WHERE hash = ?1";
    candidates.extend(db.rows(later, values![i64::from(wanted)], |row| row.get::<SaleId>(0))?);
    let by_id = format!("SELECT {COLUMNS}, {INVOICE_ID} FROM sales s WHERE id = ?1");
    for id in candidates.into_iter().rev().take(MOST) {
        if db.row(&by_id, values![id], |row| is_known_by(row, text))?.unwrap_or(false) {
            found.insert(id);
        }
    }
    // What is in no block yet is looked through as it is.
    let rest = format!("SELECT {COLUMNS}, {INVOICE_ID} FROM sales s WHERE id > ?1");
    db.query(&rest, values![sealed_through(db)?], &mut |row| {
        if is_known_by(row, text)? {
            found.insert(row.get(0)?);
        }
        Ok(())
    })?;
    Ok(found.into_iter().rev().take(MOST).collect())
}

/// Sales by any of their providers' ids. Where there is an index, each of the few scopes and kinds is found by a step through it.
fn by_key(db: &dyn Db, text: &str) -> Result<BTreeSet<SaleId>, Error> {
    let mut found = BTreeSet::new();
    if db.has_names() {
        for ask in &SALES_OF_VALUE {
            ask.all(db, &[question![text]], &mut |_, row| {
                found.insert(row.get(0)?);
                Ok(())
            })?;
        }
        return Ok(found);
    }
    for table in ["sale_keys", "sale_groups"] {
        let next_scope = format!("SELECT scope FROM {table} WHERE scope > ?1 ORDER BY scope LIMIT 1");
        let next_kind = format!("SELECT kind FROM {table} WHERE scope = ?1 AND kind > ?2 ORDER BY kind LIMIT 1");
        let here =
            format!("SELECT sale FROM {table} WHERE scope = ?1 AND kind = ?2 AND value = ?3 ORDER BY sale DESC LIMIT {MOST}");
        let mut scope = String::new();
        while let Some(next) = db.row(&next_scope, values![scope], |row| row.get::<String>(0))? {
            scope = next;
            let mut kind = String::new();
            while let Some(next) = db.row(&next_kind, values![scope, kind], |row| row.get::<String>(0))? {
                kind = next;
                found.extend(db.rows(&here, values![scope, kind, text], |row| row.get::<SaleId>(0))?);
            }
        }
    }
    Ok(found)
}

fn sealed_through(db: &dyn Db) -> Result<SaleId, Error> {
    db.value("SELECT COALESCE(MAX(last), 0) FROM sale_hashes WHERE part = 0", &[])
}

/// Everything by which a row of [`COLUMNS`] is known, but for the providers' ids, which have an index.
fn known_by(row: &Row<'_>) -> Result<Vec<String>, Error> {
    let mut known: Vec<String> = Vec::with_capacity(5);
    for column in 1..=4 {
        known.extend(row.get::<Option<String>>(column)?);
    }
    known.extend(invoice_id(row, 5)?);
    Ok(known)
}

fn is_known_by(row: &Row<'_>, text: &str) -> Result<bool, Error> {
    Ok(known_by(row)?.iter().any(|value| value.to_lowercase() == text.to_lowercase()))
}

/// The same on every replica, whatever version it runs.
fn hash(value: &str) -> u32 {
    let digest: [u8; 32] = Sha256::digest(value.to_lowercase()).into();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// The part of a block in which a hash stands.
fn part_of(hash: u32) -> u32 {
    hash / (u32::MAX / PARTS + 1)
}

/// The places in a block at which this hash stands.
fn places(hashes: &[u8], wanted: u32) -> impl Iterator<Item = u16> {
    let (entries, _) = hashes.as_chunks::<ENTRY>();
    let hash_of = |entry: &[u8; ENTRY]| u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]);
    let start = entries.partition_point(|entry| hash_of(entry) < wanted);
    let found = entries.iter().skip(start).take_while(move |entry| hash_of(entry) == wanted);
    found.map(|entry| u16::from_be_bytes([entry[4], entry[5]]))
}
