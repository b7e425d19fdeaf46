//! What is done beside the writer.

use super::*;
use crate::store::sql::Db;
use crate::store::sql::row::sale;

/// More than a block of sales, each of a customer of its own.
const SALES: &str = r#"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1025)
    INSERT INTO sales SELECT n, 'shop', 'live:shop', 'payment_captured', 0, 100, 'USD', 0, NULL, 'user_' || n, NULL, NULL, NULL,
    '{"customerExternalId":{"from":"memory","request":1}}', '[]', 0, '[]', '[]', 'ready', NULL, NULL, NULL, NULL, NULL, NULL, 1, 0,
    NULL, '{"parts":[{"what":"total","minor":100,"written":"100","path":""}],"currency_path":""}', '{"request":1,"kind":"","at_path":null}', 0, 0, 0
    FROM numbers"#;

#[tokio::test]
async fn a_sale_that_changes_while_its_block_is_read_is_found_by_what_it_was_and_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("blocks.db"), Access::Scratch, 16).unwrap();
    let run = async |sql: &'static str| store.writer.run(move |file| Ok(file.execute_batch(sql)?)).await.unwrap();
    run(SALES).await;
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let block = store.look(|db| search::next(db, now)).unwrap().unwrap();
    store.writer.run(move |file| search::begin(file, block)).await.unwrap();
    let entries = store.look(|db| search::entries(db, block)).unwrap();
    let change = |file: &File| {
        file.execute_batch("UPDATE sales SET customer_external_id = 'somebody' WHERE id = 7")?;
        let db: &dyn Db = file;
        let changed = db.rows("SELECT * FROM sales WHERE id = 7", &[], sale)?;
        search::note_changed(file, &changed)
    };
    store.writer.run(change).await.unwrap();
    store.writer.run(move |file| search::write(file, block, &entries)).await.unwrap();
    let found = |text: &str| store.look(|db| search::search(db, text)).unwrap();
    assert_eq!((found("somebody"), found("user_7"), found("user_8"), found("user_1025")), (vec![7], vec![], vec![8], vec![1025]));
    // The next block begins after it, and nothing is left of its beginning.
    assert_eq!(store.look(|db| search::next(db, now)).unwrap(), None);
    let left = "SELECT part FROM sale_hashes WHERE part > 63 OR last <> 1024";
    assert!(!store.look(|file| Ok(file.prepare(left)?.exists([])?)).unwrap());
}
