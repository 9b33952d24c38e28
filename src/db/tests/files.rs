//! What is on the disk, and what is wrong with it.
use super::*;
use crate::base::text::chain;

/// Deletes and sign-outs must work when nothing else does.
#[tokio::test]
async fn below_the_free_room_only_what_frees_room_is_written() {
    let it = fixture(Options::default()).await;
    it.db.write(&it.main, |tx| insert(tx, 1)).await.expect("written");
    drop(it.db);
    let full = Options { free_bytes_min: u64::MAX, ..Options::default() };
    let db = open(it.folder.path(), full).expect("opened");

    let written = db.write(&it.main, |tx| insert(tx, 2)).await;
    let deleted = db.free(&it.main, |tx| tx.execute("DELETE FROM notes", &[])).await;
    let read = db.read(&it.main, all).await;

    assert!(matches!(written, Err(Error::StorageFull)), "{written:?}");
    assert_eq!((deleted.expect("deleted"), read.expect("read")), (1, Vec::<i64>::new()));
}

/// A log that grows under steady load would fill the disk and slow every start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_ahead_log_stays_bounded_under_load_beside_slow_readers() {
    let it = fixture(Options { read_budget: Duration::from_millis(200), ..Options::default() }).await;
    let log = it.folder.path().join("tenants/main/records.db-wal");
    let text = "x".repeat(60_000);
    let largest = Arc::new(AtomicUsize::new(0));

    for round in 0..40_i64 {
        let reader = it.db.read(&it.main, |tx| {
            let found = all(tx)?;
            std::thread::sleep(Duration::from_millis(30));
            Ok::<_, Error>(found.len())
        });
        let writes = join_all((0..50).map(|n| {
            let text = text.clone();
            it.db.write(&it.main, move |tx| {
                let sql = "INSERT INTO notes (n, text) VALUES ($1, $2)";
                tx.execute(sql, &[(round * 50 + n).into(), (&text).into()])
            })
        }));
        let (read, written) = tokio::join!(reader, writes);
        read.expect("read");
        assert!(written.iter().all(Result::is_ok));
        let size = usize::try_from(std::fs::metadata(&log).expect("a log").len()).expect("small");
        largest.fetch_max(size, Ordering::Relaxed);
    }

    let largest = largest.load(Ordering::Relaxed);
    assert!(largest <= 40 << 20, "the log grew to {largest} bytes while 120 MB were written");
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart_and_stopping_empties_the_log() {
    let it = fixture(Options::default()).await;
    it.db.write(&it.main, |tx| insert(tx, 1)).await.expect("written");
    drop(it.db);
    let log = it.folder.path().join("tenants/main/records.db-wal");
    assert_eq!(std::fs::metadata(&log).map_or(0, |it| it.len()), 0);

    let db = open(it.folder.path(), Options::default()).expect("opened");

    assert_eq!(db.read(&it.main, all).await.expect("read"), [1]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("system.db");
    std::fs::write(&file, "These are my notes, not a database. ".repeat(200)).expect("written");

    let refused = open(folder.path(), Options::default());

    let refused = refused.expect_err("no database");
    assert!(matches!(&refused, Error::Opening { cause, .. } if matches!(**cause, Error::Damaged)), "{refused:?}");
    // The operator has to find it.
    assert_eq!(chain(&refused), format!("cannot open {}: the database file is damaged", file.display()));
    assert!(std::fs::read_to_string(&file).expect("still text").starts_with("These are my notes"));
}

/// What is damaged must not be made worse, and what can be read still is.
#[tokio::test]
async fn a_damaged_page_is_announced_and_the_database_not_written_any_more() {
    let it = fixture(Options::default()).await;
    it.db
        .write(&it.main, |tx| {
            // More than half of the file: what is damaged is found by whoever reads these, not by whoever opens it.
            (0..20_000_i64).try_for_each(|n| {
                tx.execute("INSERT INTO notes (n, text) VALUES ($1, $2)", &[n.into(), "some text to fill pages".into()])
                    .map(drop)
            })
        })
        .await
        .expect("written");
    drop(it.db);
    damage(&it.folder.path().join("tenants/main/records.db"));

    let db = open(it.folder.path(), Options::default()).expect("opened");
    let sum = "SELECT sum(n + length(text)) FROM notes";
    let read = db.read(&it.main, move |tx| tx.find(sum, &[], |row| row.integer(0))).await;
    let written = db.write(&it.main, |tx| insert(tx, 9_999)).await;

    assert!(matches!(read, Err(Error::Damaged)), "{read:?}");
    assert!(matches!(written, Err(Error::Damaged)), "{written:?}");
    assert!(!db.is_sound());
}

/// Overwrites the pages in the middle of a closed database.
fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).expect("closed, so it may be read");
    let (from, to) = (bytes.len() / 2, bytes.len() - 4_096);
    bytes[from..to].fill(0xA5);
    std::fs::write(file, bytes).expect("written");
}

#[tokio::test]
async fn an_unknown_tenant_is_not_made_by_asking_for_it() {
    let it = fixture(Options::default()).await;
    let other: TenantId = "other".parse().expect("a name");

    let refused = it.db.read(&other, all).await;

    assert!(matches!(refused, Err(Error::NoTenant { .. })), "{refused:?}");
    assert!(!it.folder.path().join("tenants/other").exists());
}

#[tokio::test]
async fn tenants_do_not_see_each_other_and_the_idle_one_is_closed_for_the_next() {
    let it = fixture(Options { tenants_open_max: 1, ..Options::default() }).await;
    let other: TenantId = "other".parse().expect("a name");
    it.db.write(&it.main, |tx| insert(tx, 1)).await.expect("written");

    it.db.create_tenant(&other).expect("made, after `main` was closed");
    it.db.write_alone(&other, |tx| tx.batch(SCHEMA)).await.expect("tables");

    assert_eq!(it.db.read(&other, all).await.expect("read"), Vec::<i64>::new());
    assert_eq!(it.notes().await, [1], "`main` is opened again");
}

#[tokio::test]
async fn databases_in_memory_are_apart_and_behave_the_same() {
    let (one, other) = (Db::in_memory().expect("one"), Db::in_memory().expect("other"));
    let main = TenantId::main();
    one.write_alone(&main, |tx| tx.batch(SCHEMA)).await.expect("tables");
    other.write_alone(&main, |tx| tx.batch(SCHEMA)).await.expect("tables");

    one.write(&main, |tx| insert(tx, 1)).await.expect("written");

    assert_eq!(one.read(&main, all).await.expect("read"), [1]);
    assert_eq!(other.read(&main, all).await.expect("read"), Vec::<i64>::new());
}
