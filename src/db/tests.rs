//! The promises of group commit, one test each, on real files.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::*;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS notes (n BIGINT NOT NULL PRIMARY KEY, text TEXT, CHECK (0 <= n));
    CREATE TABLE IF NOT EXISTS parts (n BIGINT NOT NULL REFERENCES notes (n));";

struct Fixture {
    db: Db,
    main: TenantId,
    folder: tempfile::TempDir,
}

fn open(folder: &Path, options: Options) -> Result<Db, Error> {
    Db::open(Folder::take(folder)?, options, Clock::system())
}

/// A fresh data folder with the tables above.
async fn fixture(options: Options) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(folder.path(), options).expect("opened");
    let main = TenantId::main();
    db.create_tenant(&main).expect("made");
    db.write_alone(&main, |tx| tx.batch(SCHEMA)).await.expect("tables");
    Fixture { db, main, folder }
}

fn insert(tx: &mut Tx<'_>, n: i64) -> Result<(), Error> {
    tx.execute("INSERT INTO notes (n) VALUES ($1)", &[n.into()]).map(drop)
}

fn all(tx: &mut Tx<'_>) -> Result<Vec<i64>, Error> {
    tx.query("SELECT n FROM notes ORDER BY n", &[], |row| row.integer(0))
}

impl Fixture {
    async fn notes(&self) -> Vec<i64> {
        self.db.read(&self.main, all).await.expect("read")
    }

    /// Holds the writer until `release` is dropped, so that what is sent meanwhile forms one group.
    async fn hold(&self) -> (std::sync::mpsc::Sender<()>, impl Future<Output = Result<(), Error>> + use<>) {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let (held, mut started) = (std::sync::Mutex::new(held), Some(started));
        let (db, main) = (self.db.clone(), self.main.clone());
        let mut holding = Box::pin(async move {
            db.write(&main, move |_| {
                started.take().map(|it| it.send(()));
                let _ = held.lock().expect("one holder").recv();
                Ok(())
            })
            .await
        });
        tokio::select! {
            _ = has_started => {}
            _ = &mut holding => panic!("the hold ended early"),
        }
        (release, holding)
    }

    /// Sends writes that will share one transaction, and returns their answers.
    async fn together<T: Send + 'static>(&self, works: Vec<Work<T, Error>>) -> Vec<Result<T, Error>> {
        let (release, holding) = self.hold().await;
        let writes = join_all(works.into_iter().map(|work| self.db.write(&self.main, work)));
        let (held, answers) = tokio::join!(holding, async {
            let mut writes = Box::pin(writes);
            // Polled once, every write is in the queue.
            assert!(futures_util::poll!(&mut writes).is_pending());
            drop(release);
            writes.await
        });
        held.expect("held");
        answers
    }
}

type Write = Work<(), Error>;

fn write_of(n: i64) -> Write {
    Box::new(move |tx| insert(tx, n))
}

#[tokio::test]
async fn a_write_is_seen_by_the_next_read() {
    let it = fixture(Options::default()).await;

    it.db.write(&it.main, |tx| insert(tx, 1)).await.expect("written");

    let found =
        it.db.get(&it.main, |tx| tx.find("SELECT n FROM notes WHERE n = $1", &[1_i64.into()], |row| row.integer(0)));
    assert_eq!(found.await.expect("read"), Some(1));
}

/// One refusal is one client's business.
#[tokio::test]
async fn a_closure_that_fails_loses_its_own_changes_and_its_neighbours_keep_theirs() {
    let it = fixture(Options::default()).await;
    let failing: Write = Box::new(|tx| {
        insert(tx, 2)?;
        insert(tx, -1)
    });

    let answers = it.together(vec![write_of(1), failing, write_of(3)]).await;

    assert!(matches!(&answers[1], Err(Error::Conflict { .. })), "{:?}", answers[1]);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(it.notes().await, [1, 3]);
}

#[tokio::test]
async fn a_closure_that_panics_loses_its_own_changes_and_its_neighbours_keep_theirs() {
    let it = fixture(Options::default()).await;
    let panicking: Write = Box::new(|tx| {
        insert(tx, 2)?;
        panic!("a bug")
    });

    let answers = it.together(vec![write_of(1), panicking, write_of(3)]).await;

    assert!(matches!(&answers[1], Err(Error::Panicked { message }) if message == "a bug"), "{:?}", answers[1]);
    assert_eq!(it.notes().await, [1, 3]);
}

/// A statement that ends the whole transaction would, unnoticed, let later closures commit
/// alone and earlier ones be lost. `OR ROLLBACK` stands here for a full disk or an I/O error.
#[tokio::test]
async fn a_statement_that_ends_the_transaction_costs_only_its_own_closure() {
    let it = fixture(Options::default()).await;
    it.db.write(&it.main, |tx| insert(tx, 9)).await.expect("written");
    let ending: Write = Box::new(|tx| {
        insert(tx, 2)?;
        tx.execute("INSERT OR ROLLBACK INTO notes (n) VALUES (9)", &[]).map(drop)
    });
    let swallowing: Write = Box::new(|tx| {
        let _ = tx.execute("INSERT OR ROLLBACK INTO notes (n) VALUES (9)", &[]);
        Ok(())
    });

    let answers = it.together(vec![write_of(1), ending, write_of(3), swallowing, write_of(4)]).await;

    assert!(matches!(&answers[1], Err(Error::Conflict { .. })), "{:?}", answers[1]);
    assert!(matches!(&answers[3], Err(Error::EndedTransaction)), "{:?}", answers[3]);
    assert!([0, 2, 4].iter().all(|it| answers[*it].is_ok()), "{answers:?}");
    assert_eq!(it.notes().await, [1, 3, 4, 9]);
}

/// The suspended check of a foreign key can only fail at COMMIT. Ours are immediate, but a
/// group must survive one all the same.
#[tokio::test]
async fn a_commit_that_a_constraint_refuses_is_run_singly() {
    let it = fixture(Options::default()).await;
    let deferred = "CREATE TABLE late (n BIGINT REFERENCES notes (n) DEFERRABLE INITIALLY DEFERRED);";
    it.db.write_alone(&it.main, move |tx| tx.batch(deferred)).await.expect("a table");
    let dangling: Write = Box::new(|tx| tx.execute("INSERT INTO late VALUES (77)", &[]).map(drop));

    let answers = it.together(vec![write_of(1), dangling, write_of(3)]).await;

    assert!(matches!(&answers[1], Err(Error::Conflict { .. })), "{:?}", answers[1]);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(it.notes().await, [1, 3]);
}

#[tokio::test]
async fn many_writes_share_one_commit() {
    let it = fixture(Options::default()).await;
    let commits =
        |it: &Fixture| std::fs::metadata(it.folder.path().join("tenants/main/records.db-wal")).map_or(0, |it| it.len());
    let before = commits(&it);

    let answers = it.together((0..100).map(write_of).collect()).await;

    assert!(answers.iter().all(Result::is_ok));
    // A commit of its own for each would log at least one page for each.
    assert!(commits(&it) - before < 20 * 4_120, "{} bytes of log", commits(&it) - before);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing_that_waits() {
    let it = fixture(Options { write_queue_max: 4, group_max: 1, ..Options::default() }).await;

    let answers = it.together((0..10).map(write_of).collect()).await;

    let refused = answers.iter().filter(|it| matches!(it, Err(Error::QueueFull))).count();
    let written = answers.iter().filter(|it| it.is_ok()).count();
    assert_eq!((written, refused), (4, 6));
    assert_eq!(it.notes().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_closure_past_its_budget_is_stopped_between_statements() {
    let it = fixture(Options { write_budget: Duration::from_millis(20), ..Options::default() }).await;
    let slow: Write = Box::new(|tx| {
        insert(tx, 2)?;
        std::thread::sleep(Duration::from_millis(40));
        insert(tx, 3)
    });

    let answers = it.together(vec![write_of(1), slow, write_of(4)]).await;

    assert!(matches!(&answers[1], Err(Error::BudgetSpent)), "{:?}", answers[1]);
    assert_eq!(it.notes().await, [1, 4]);
}

/// A slow one delays its own group, and what came later is in the next commit.
#[tokio::test]
async fn a_slow_closure_does_not_make_its_group_grow() {
    let it = fixture(Options::default()).await;
    let (tell, told) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let (release, holding) = it.hold().await;
    let slow = async {
        let outcome = it.db.write(&it.main, |tx| {
            std::thread::sleep(Duration::from_millis(80));
            insert(tx, 1)
        });
        outcome.await.expect("written");
        tell.send(()).expect("the later one waits");
    };
    let later = it.db.write(&it.main, move |tx| {
        let answered = told.lock().expect("alone").recv_timeout(Duration::from_secs(1));
        insert(tx, if answered.is_ok() { 2 } else { 99 })
    });
    let mut both = Box::pin(async { tokio::join!(slow, later) });
    assert!(futures_util::poll!(&mut both).is_pending());
    drop(release);

    let (held, ((), written)) = tokio::join!(holding, both);

    assert!(held.is_ok() && written.is_ok(), "{held:?} {written:?}");
    assert_eq!(it.notes().await, [1, 2], "99: the later one was in the same group");
}

#[tokio::test]
async fn closures_may_not_touch_transactions_settings_files_or_in_a_group_the_schema() {
    let it = fixture(Options::default()).await;
    for sql in [
        "PRAGMA foreign_keys=OFF",
        "ATTACH ':memory:' AS other",
        "SAVEPOINT mine",
        "COMMIT",
        "BEGIN",
        "CREATE TABLE x (n BIGINT)",
        "DROP TABLE notes",
    ] {
        let refused = it.db.write(&it.main, move |tx| tx.execute(sql, &[])).await;
        assert!(matches!(refused, Err(Error::Engine(_))), "{sql}: {refused:?}");
    }
    for sql in ["PRAGMA foreign_keys=OFF", "COMMIT", "ATTACH ':memory:' AS other"] {
        let refused = it.db.write_alone(&it.main, move |tx| tx.execute(sql, &[])).await;
        assert!(refused.is_err(), "{sql}: {refused:?}");
    }
    it.db.write_alone(&it.main, |tx| tx.batch("CREATE TABLE x (n BIGINT)")).await.expect("alone, it may");
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let it = fixture(Options::default()).await;

    let refused = it.db.read(&it.main, |tx| insert(tx, 1)).await;

    assert!(matches!(refused, Err(Error::Engine(_))), "{refused:?}");
}

/// Bound by position, `$2` before `$1` would swap the two in silence.
#[tokio::test]
async fn parameters_are_bound_by_their_number() {
    let it = fixture(Options::default()).await;
    let swapped = "SELECT n FROM notes WHERE text = $2 AND n = $1";
    it.db
        .write(&it.main, |tx| tx.execute("INSERT INTO notes (text, n) VALUES ($2, $1)", &[5_i64.into(), "five".into()]))
        .await
        .expect("written");

    let found =
        it.db.read(&it.main, move |tx| tx.find(swapped, &[5_i64.into(), "five".into()], |row| row.integer(0))).await;
    let missing = it.db.read(&it.main, move |tx| tx.find(swapped, &[5_i64.into()], |row| row.integer(0))).await;

    assert_eq!(found.expect("found"), Some(5));
    assert!(missing.is_err());
}

#[tokio::test]
async fn a_read_past_its_budget_is_stopped() {
    let it = fixture(Options { read_budget: Duration::from_millis(50), ..Options::default() }).await;
    const ENDLESS: &str = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c";
    let started = Instant::now();

    let pooled = it.db.read(&it.main, |tx| tx.find(ENDLESS, &[], |row| row.integer(0))).await;
    let in_place = it.db.get(&it.main, |tx| tx.find(ENDLESS, &[], |row| row.integer(0))).await;

    assert!(matches!(pooled, Err(Error::BudgetSpent)), "{pooled:?}");
    assert!(matches!(in_place, Err(Error::BudgetSpent)), "{in_place:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(it.notes().await, Vec::<i64>::new(), "the readers go on");
}

#[tokio::test]
async fn a_read_that_panics_is_an_error_and_the_next_one_works() {
    let it = fixture(Options { read_threads: 1, ..Options::default() }).await;

    let broken: Result<(), Error> = it.db.read(&it.main, |_| panic!("a bug")).await;

    assert!(matches!(broken, Err(Error::Panicked { .. })));
    assert_eq!(it.notes().await, Vec::<i64>::new());
}

/// A reader sees one state of the data for as long as it runs, whatever is written meanwhile.
#[tokio::test]
async fn a_read_of_several_statements_sees_one_state() {
    let it = fixture(Options::default()).await;
    let (started, has_started) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (db, main) = (it.db.clone(), it.main.clone());
    let reading = db.read(&main, move |tx| {
        let before = all(tx)?;
        let _ = started.send(());
        let _ = held.recv();
        Ok::<_, Error>((before, all(tx)?))
    });
    let writing = async {
        let has_started = std::sync::Mutex::new(has_started);
        while has_started.lock().expect("alone").try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        it.db.write(&it.main, |tx| insert(tx, 1)).await.expect("written");
        drop(release);
    };

    let (states, ()) = tokio::join!(reading, writing);

    assert_eq!(states.expect("read"), (Vec::<i64>::new(), Vec::<i64>::new()));
    assert_eq!(it.notes().await, [1]);
}

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

    assert!(matches!(refused, Err(Error::Damaged)), "{refused:?}");
    assert!(std::fs::read_to_string(&file).expect("still text").starts_with("These are my notes"));
}

/// What is damaged must not be made worse, and what can be read still is.
#[tokio::test]
async fn a_damaged_page_is_announced_and_the_database_not_written_any_more() {
    let it = fixture(Options::default()).await;
    it.db
        .write(&it.main, |tx| {
            (0..2_000_i64).try_for_each(|n| {
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
async fn a_write_whose_asker_is_gone_before_its_turn_is_not_run() {
    let it = fixture(Options::default()).await;
    let (release, holding) = it.hold().await;
    let mut abandoned = Box::pin(it.db.write(&it.main, |tx| insert(tx, 1)));
    assert!(futures_util::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    drop(release);
    holding.await.expect("held");

    it.db.write(&it.main, |tx| insert(tx, 2)).await.expect("written");

    assert_eq!(it.notes().await, [2]);
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

/// `RETURNING` hands out a row before the statement is over, and a foreign key is looked at when it is.
#[tokio::test]
async fn a_row_that_a_constraint_takes_back_is_not_found() {
    let it = fixture(Options::default()).await;
    let dangling = "INSERT INTO parts (n) VALUES ($1) RETURNING n";

    let found = it.db.write(&it.main, move |tx| tx.find(dangling, &[77_i64.into()], |row| row.integer(0))).await;

    assert!(matches!(found, Err(Error::Conflict { .. })), "{found:?}");
}

/// Without a transaction around it, each of its statements would be committed as it runs.
#[tokio::test]
async fn a_closure_whose_transaction_ended_writes_nothing_more() {
    let it = fixture(Options::default()).await;
    it.db.write(&it.main, |tx| insert(tx, 9)).await.expect("written");
    let stubborn = |tx: &mut Tx<'_>| {
        let _ = tx.execute("INSERT OR ROLLBACK INTO notes (n) VALUES (9)", &[]);
        let _ = insert(tx, 5);
        Ok::<_, Error>(())
    };

    let shared = it.db.write(&it.main, stubborn).await;
    let alone = it.db.write_alone(&it.main, stubborn).await;

    assert!(matches!(shared, Err(Error::EndedTransaction)), "{shared:?}");
    assert!(matches!(alone, Err(Error::EndedTransaction)), "{alone:?}");
    assert_eq!(it.notes().await, [9]);
}

/// A temporary table would hide the real one from every later write on the connection.
#[tokio::test]
async fn closures_may_not_leave_temporary_tables_or_triggers_behind() {
    let it = fixture(Options::default()).await;
    for sql in [
        "CREATE TEMP TABLE notes (n BIGINT)",
        "CREATE TEMP VIEW seen AS SELECT n FROM notes",
        "CREATE TEMP TRIGGER gone AFTER INSERT ON notes BEGIN DELETE FROM notes; END",
    ] {
        let shared = it.db.write(&it.main, move |tx| tx.batch(sql)).await;
        let alone = it.db.write_alone(&it.main, move |tx| tx.batch(sql)).await;
        assert!(matches!(shared, Err(Error::Engine(_))), "{sql}: {shared:?}");
        assert!(matches!(alone, Err(Error::Engine(_))), "{sql}: {alone:?}");
    }

    it.db.write(&it.main, |tx| insert(tx, 1)).await.expect("written");
    assert_eq!(it.notes().await, [1]);
}

/// A statement is judged when it is prepared, and prepared statements are kept.
#[tokio::test]
async fn what_is_allowed_alone_is_not_allowed_in_a_group_afterwards() {
    let it = fixture(Options::default()).await;
    it.db.write_alone(&it.main, |tx| tx.execute("REINDEX notes", &[])).await.expect("alone, it may");

    let refused = it.db.write(&it.main, |tx| tx.execute("REINDEX notes", &[])).await;

    assert!(matches!(refused, Err(Error::Engine(_))), "{refused:?}");
}

/// A closure that could turn writing on, or begin a transaction of its own, would write past the
/// writer, or show an old state to whoever reads on the connection next.
#[tokio::test]
async fn a_reader_may_only_select() {
    let it = fixture(Options { read_threads: 1, ..Options::default() }).await;
    for sql in [
        "PRAGMA query_only=OFF",
        "COMMIT",
        "BEGIN",
        "SAVEPOINT mine",
        "ATTACH ':memory:' AS other",
        "CREATE TEMP TABLE notes (n BIGINT)",
        "DELETE FROM notes",
    ] {
        let pooled = it.db.read(&it.main, move |tx| tx.batch(sql)).await;
        let in_place = it.db.get(&it.main, move |tx| tx.batch(sql)).await;
        assert!(matches!(pooled, Err(Error::Engine(_))), "{sql}: {pooled:?}");
        assert!(matches!(in_place, Err(Error::Engine(_))), "{sql}: {in_place:?}");
    }

    it.db.write(&it.main, |tx| insert(tx, 1)).await.expect("written");
    assert_eq!(it.notes().await, [1]);
    assert_eq!(it.db.get(&it.main, all).await.expect("read"), [1]);
}

/// Nothing is left open in which later writes would vanish. What the closure runs here stands for
/// a savepoint that cannot be released, as when memory is short.
#[tokio::test]
async fn a_group_that_cannot_go_on_does_not_stop_the_writer() {
    let it = fixture(Options::default()).await;
    let breaking: Write = Box::new(|tx| tx.execute("RELEASE task /* writer */", &[]).map(drop));

    let answers = it.together(vec![write_of(1), breaking, write_of(3)]).await;
    let after = it.db.write(&it.main, |tx| insert(tx, 4)).await;

    assert!(matches!(&answers[1], Err(Error::EndedTransaction)), "{:?}", answers[1]);
    assert!(answers[0].is_ok() && answers[2].is_ok() && after.is_ok(), "{answers:?} {after:?}");
    assert_eq!(it.notes().await, [1, 3, 4]);
}

/// Clients that gave up must not keep the threads from those that wait.
#[tokio::test]
async fn a_read_whose_asker_is_gone_before_its_turn_is_not_run() {
    let it = fixture(Options { read_threads: 1, ..Options::default() }).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut holding = Box::pin(it.db.read(&it.main, move |_| {
        let _ = held.recv();
        Ok::<_, Error>(())
    }));
    assert!(futures_util::poll!(&mut holding).is_pending());
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut abandoned = Box::pin(it.db.read(&it.main, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Error>(())
    }));
    assert!(futures_util::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    drop(release);
    holding.await.expect("held");

    it.notes().await;

    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

/// Both prepare statements of their own, which readers must be allowed.
#[tokio::test]
async fn readers_may_search_text_and_take_json_apart() {
    let it = fixture(Options::default()).await;
    it.db.write_alone(&it.main, |tx| tx.batch("CREATE VIRTUAL TABLE found USING fts5(text)")).await.expect("made");
    let add = |tx: &mut Tx<'_>| tx.execute("INSERT INTO found (text) VALUES ('a calm dashboard')", &[]);
    it.db.write(&it.main, add).await.expect("written");
    let search = |tx: &mut Tx<'_>| {
        tx.find("SELECT text FROM found WHERE found MATCH 'calm' ORDER BY rank", &[], |row| {
            row.text(0).map(str::to_owned)
        })
    };
    let take_apart = |tx: &mut Tx<'_>| tx.find("SELECT sum(value) FROM json_each('[1, 2]')", &[], |row| row.integer(0));

    assert_eq!(it.db.get(&it.main, search).await.expect("in place").as_deref(), Some("a calm dashboard"));
    assert_eq!(it.db.read(&it.main, search).await.expect("pooled").as_deref(), Some("a calm dashboard"));
    assert_eq!(it.db.get(&it.main, take_apart).await.expect("in place"), Some(3));
    assert_eq!(it.db.read(&it.main, take_apart).await.expect("pooled"), Some(3));
}

/// The one thread that writes must outlive what it carries.
#[tokio::test]
async fn an_answer_that_panics_when_it_is_dropped_does_not_stop_the_writer() {
    struct Explosive;
    impl Drop for Explosive {
        fn drop(&mut self) {
            panic!("a bug");
        }
    }
    let it = fixture(Options::default()).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (started, has_started) = oneshot::channel();
    let (held, mut started) = (std::sync::Mutex::new(held), Some(started));
    let mut asking = Box::pin(it.db.write(&it.main, move |tx| {
        started.take().map(|it| it.send(()));
        let _ = held.lock().expect("one holder").recv();
        insert(tx, 1)?;
        Ok::<_, Error>(Explosive)
    }));
    tokio::select! {
        _ = has_started => {}
        _ = &mut asking => panic!("it ended early"),
    }
    drop(asking);
    drop(release);

    it.db.write(&it.main, |tx| insert(tx, 2)).await.expect("written");

    assert_eq!(it.notes().await, [1, 2]);
}
