//! What is done beside the writer.

use super::*;
use crate::domain::Headers;
use crate::store::sql::Db;
use crate::store::sql::row::{self, sale};

/// More than a block of sales, each of a customer of its own.
const SALES: &str = r#"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1025)
    INSERT INTO sales SELECT n, 'shop', 'live:shop', 'payment_captured', 0, 100, 'USD', 0, NULL, 'user_' || n, NULL, NULL, NULL,
    '{"customerExternalId":{"from":"memory","request":1}}', '[]', 0, '[]', '[]', 'ready', NULL, NULL, NULL, NULL, NULL, NULL, 1, 0,
    NULL, '{"parts":[{"what":"total","minor":100,"written":"100","path":""}],"currency_path":""}', '{"request":1,"kind":"","at_path":null}', 0, 0, 0, NULL, NULL
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
        let changed = db.rows(&[row::SALES, " WHERE id = 7"].concat(), &[], sale)?;
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

#[tokio::test]
async fn only_what_can_be_made_anew_does_not_wait_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("flushes.db"), Access::Serve, 16).unwrap();
    let synchronous = |file: &File| Ok(file.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))?);
    assert_eq!(store.writer.run(synchronous).await.unwrap(), 2);
    assert_eq!(store.writer.derive(synchronous).await.unwrap(), 1);
    assert_eq!(store.writer.try_run(synchronous).await.unwrap(), 2);
    // Where both wait for the writer, each still has what it needs.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let held = store.writer.run(move |_| Ok(wait.recv().is_ok()));
    let (derived, written) = (store.writer.derive(synchronous), store.writer.run(synchronous));
    let release = async { go.send(()).unwrap() };
    let (held, derived, written, ()) = tokio::join!(biased; held, derived, written, release);
    assert!(held.unwrap());
    assert_eq!((derived.unwrap(), written.unwrap()), (1, 2));
}

#[tokio::test]
async fn what_a_loss_of_power_undoes_is_still_to_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("power.db");
    // Nothing folds the log of a scratch file meanwhile.
    let store = Sqlite::open(&path, Access::Scratch, 16).unwrap();
    let mut ids = Vec::new();
    for number in 0..3 {
        let body = vec![number; 100];
        let (source, received_at) = ("shop".to_owned(), Timestamp::UNIX_EPOCH);
        let request = Request {
            source,
            headers: Headers::default(),
            body,
            query: None,
            url: None,
            path_token: None,
            peer: None,
            received_at,
        };
        let new = inbox::New::of(&request, store.packing.pack(&request), Some([number; 32]));
        let Appended::New(id) = store.writer.append(new).await.unwrap() else { panic!("it is new") };
        ids.push(id);
    }
    let log = folder.path().join("power.db-wal");
    let flushed = log.metadata().unwrap().len();
    store.settle(Wanted::default(), ids.clone(), Timestamp::UNIX_EPOCH, Box::new(|_| {})).await.unwrap();
    let written = log.metadata().unwrap().len();
    assert!(written > flushed && store.unsettled(0, 10).unwrap().is_empty());
    // The file and as much of its log as was on the disk at the least, and at the most.
    for (kept, unsettled) in [(flushed, ids.as_slice()), (written - 1, &ids), (written, &[])] {
        let copy = folder.path().join(format!("copy-{kept}.db"));
        std::fs::copy(&path, &copy).unwrap();
        let bytes = std::fs::read(&log).unwrap();
        std::fs::write(copy.with_extension("db-wal"), &bytes[..usize::try_from(kept).unwrap()]).unwrap();
        let again = Sqlite::open(&copy, Access::Scratch, 16).unwrap();
        assert_eq!(again.unsettled(0, 10).unwrap().iter().map(|stored| stored.id).collect::<Vec<_>>(), unsettled);
        again.settle(Wanted::default(), unsettled.to_vec(), Timestamp::UNIX_EPOCH, Box::new(|_| {})).await.unwrap();
        assert!(again.unsettled(0, 10).unwrap().is_empty());
    }
}

const COUNT: &str = "SELECT COUNT(*) FROM sales";

#[tokio::test]
async fn nothing_is_written_behind_what_the_disk_refused_to_flush() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("doubt.db");
    let store = Sqlite::open(&path, Access::Scratch, 16).unwrap();
    let count = |file: &File| Ok(file.query_row(COUNT, [], |row| row.get::<_, i64>(0))?);
    let doubt = |file: &File| {
        file.busy_timeout(Duration::ZERO)?;
        file.doubt();
        Ok(())
    };
    store.writer.run(|file| Ok(file.execute_batch(SALES)?)).await.unwrap();
    let reader = connect(&path, Access::Visit).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(reader.query_row(COUNT, [], |row| row.get::<_, i64>(0)).unwrap(), 1025);
    store.writer.run(doubt).await.unwrap();
    assert!(matches!(store.writer.derive(count).await, Err(Error::Unavailable(_))), "somebody reads the log");
    reader.execute_batch("COMMIT").unwrap();
    let log = || folder.path().join("doubt.db-wal").metadata().unwrap().len();
    let before = log();
    assert_eq!(store.writer.derive(count).await.unwrap(), 1025);
    assert!(before > 0 && log() == 0, "all of it is in the file");
}
