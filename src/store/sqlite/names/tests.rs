//! Names against a plain map, through full tails, merges, rolled back transactions and restarts.

use std::collections::BTreeMap;

use super::*;
use crate::store::Access;
use crate::store::sqlite::{connect, migrations};

struct Desk {
    folder: tempfile::TempDir,
    /// What must be found: rows by kind and name.
    known: BTreeMap<(u8, u64), Vec<i64>>,
}

fn name(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn named(number: u64) -> Named {
    [Named::Request, Named::Event, Named::Key, Named::Group, Named::Customer, Named::Person][usize::try_from(number % 6).unwrap()]
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), known: BTreeMap::new() };
        let mut connection = connect(&desk.folder.path().join("names.db"), Access::Scratch).unwrap();
        migrations::run(&mut connection, &desk.folder.path().join("names.db")).unwrap();
        let file = File::new(connection, &Cache::default(), &Arc::default());
        prepare(&file).unwrap();
        desk
    }

    fn opens(&self) -> File {
        File::new(connect(&self.folder.path().join("names.db"), Access::Scratch).unwrap(), &Cache::default(), &Arc::default())
    }

    /// A transaction that names rows, and one step of the upkeep after it.
    fn names(&mut self, file: &File, numbers: impl Iterator<Item = u64>) {
        begin(file);
        drop(file.names().unwrap());
        for number in numbers {
            let row = i64::try_from(number).unwrap() + 1;
            file.names().unwrap().add(named(number), &name(number / 2), row);
            self.known.entry((named(number).number(), number / 2)).or_default().push(row);
        }
        commit(file);
        if file.names_in_use().is_some_and(|names| names.wants_upkeep()) {
            begin(file);
            file.names().unwrap().tidy(file).unwrap();
            commit(file);
        }
    }

    /// All steps of the upkeep that there are to do.
    fn tidies(&mut self, file: &File) {
        self.names(file, std::iter::empty());
        while file.names_in_use().is_some_and(|names| names.wants_upkeep()) {
            self.names(file, std::iter::empty());
        }
    }

    /// Everything is found, and what was never named is not.
    fn agrees(&self, file: &File, step: usize) {
        begin(file);
        for ((kind, number), rows) in self.known.iter().step_by(step) {
            let found = file.names().unwrap().find(file, named(u64::from(*kind)), &name(*number)).unwrap();
            assert_eq!(&found, rows, "kind {kind}, name {number}");
        }
        for number in (1 << 40)..(1 << 40) + 2_000 {
            assert!(file.names().unwrap().find(file, named(number), &name(number)).unwrap().is_empty());
        }
        commit(file);
    }
}

fn begin(file: &File) {
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    file.begin();
}

fn commit(file: &File) {
    if let Some(mut names) = file.names_in_use() {
        names.write(file).unwrap();
    }
    file.execute_batch("COMMIT").unwrap();
}

#[test]
fn what_was_named_is_found_through_runs_merges_and_restarts() {
    let mut desk = Desk::new();
    let file = desk.opens();
    let (mut next, batch) = (0, 8_192);
    // Nine full tails: eight of them become one run.
    while next < 9 * u64::try_from(TAIL_LIMIT).unwrap() + 5 {
        desk.names(&file, next..next + batch);
        next += batch;
    }
    desk.tidies(&file);
    let levels: Vec<u32> = file.names_in_use().unwrap().runs.iter().map(|run| run.level).collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{levels:?}");
    assert!(levels.len() <= 3, "{levels:?}");
    let left: i64 = file.query_row("SELECT COUNT(DISTINCT id / 16777216) FROM name_parts", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(left).unwrap(), levels.len(), "what was merged is swept");
    desk.agrees(&file, 7);
    desk.agrees(&desk.opens(), 11);
}

#[test]
fn a_tail_that_is_being_written_is_found_and_one_that_was_cut_off_is_written_again() {
    let mut desk = Desk::new();
    let file = desk.opens();
    desk.names(&file, 0..u64::try_from(TAIL_LIMIT).unwrap());
    desk.names(&file, 1_000_000..1_000_100);
    desk.names(&file, 1_000_100..1_000_200);
    let count = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(file.names_in_use().unwrap().ending.is_some() && count("SELECT COUNT(*) FROM name_parts") > 0);
    assert_eq!(count("SELECT COUNT(*) FROM name_runs"), 0);
    desk.agrees(&file, 17);
    desk.agrees(&desk.opens(), 17);
    // As after a commit that failed.
    file.forget();
    desk.tidies(&file);
    let (runs, rows) = (count("SELECT COUNT(*) FROM name_runs"), count("SELECT COUNT(*) FROM name_log"));
    assert_eq!((runs, rows, count("SELECT COUNT(DISTINCT id / 16777216) FROM name_parts")), (1, 1, 1), "the last row stays");
    let last = count("SELECT MAX(id) FROM name_log");
    desk.names(&file, 2_000_000..2_000_001);
    assert_eq!(count("SELECT MAX(id) FROM name_log"), last + 1);
    desk.agrees(&file, 17);
    desk.agrees(&desk.opens(), 17);
}

#[test]
fn what_another_process_named_is_found() {
    let mut desk = Desk::new();
    let (ours, theirs) = (desk.opens(), desk.opens());
    desk.names(&ours, 0..100);
    desk.agrees(&theirs, 1);
    desk.names(&theirs, 100..200);
    desk.agrees(&ours, 1);
    desk.names(&ours, 200..u64::try_from(TAIL_LIMIT).unwrap() + 300);
    // The tail that both know has become a run of the one.
    desk.agrees(&theirs, 13);
    desk.names(&theirs, 1_000_000..1_000_100);
    desk.agrees(&ours, 13);
}

#[test]
fn what_was_rolled_back_is_named_by_nobody_else() {
    let mut desk = Desk::new();
    let (ours, theirs) = (desk.opens(), desk.opens());
    desk.names(&ours, 0..10);
    begin(&ours);
    ours.names().unwrap().add(named(0), &name(77), 78);
    ours.names().unwrap().write(&ours).unwrap();
    ours.execute_batch("ROLLBACK").unwrap();
    ours.forget();
    begin(&theirs);
    assert!(theirs.names().unwrap().find(&theirs, named(0), &name(77)).unwrap().is_empty());
    commit(&theirs);
    // The row of the log that was rolled back is written by somebody else now.
    desk.names(&theirs, 20..30);
    desk.agrees(&ours, 1);
}

#[test]
fn a_run_that_is_not_whole_is_found_out_and_made_anew() {
    let mut desk = Desk::new();
    let file = desk.opens();
    // Two runs, of which the second loses a part: what is known of the first must not be taken for one that is made anew.
    let tail = u64::try_from(TAIL_LIMIT).unwrap();
    for numbers in [0..tail, tail..2 * tail] {
        desk.names(&file, numbers);
        desk.tidies(&file);
    }
    let sql = "INSERT INTO inbox (id, source, received_at, headers, body, digest) VALUES (1, 'shop', 0, '[]', x'7b7d', x'0102');
         DELETE FROM name_parts WHERE id = (SELECT MAX(id) FROM name_parts)";
    file.execute_batch(sql).unwrap();
    let again = desk.opens();
    begin(&again);
    assert!(matches!(again.names().map(drop), Err(Error::Damaged(_))));
    again.execute_batch("ROLLBACK").unwrap();
    again.forget();
    prepare(&again).unwrap();
    assert_eq!(again.names_in_use().unwrap().find(&again, Named::Request, &[1, 2]).unwrap(), [1]);
}
