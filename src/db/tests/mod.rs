//! The promises of group commit, one test each, on real files.
mod files;
mod limits;
mod reads;

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

/// An import sends batch after batch. Who saves one record meanwhile waits for one of them, not for all.
#[tokio::test]
async fn small_writes_come_between_batches_and_one_that_fails_is_undone_alone() {
    let it = fixture(Options::default()).await;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let numbered = |numbers: &'static [i64]| {
        let order = Arc::clone(&order);
        move |tx: &mut Tx<'_>| {
            order.lock().expect("unpoisoned").push(numbers[0]);
            numbers.iter().try_for_each(|n| insert(tx, *n))
        }
    };
    let (release, holding) = it.hold().await;
    let mut batches = Box::pin(join_all([
        it.db.write_as(Class::BULK, &it.main, numbered(&[1, 2])),
        it.db.write_as(Class::BULK, &it.main, numbered(&[3, -1])),
        it.db.write_as(Class::BULK, &it.main, numbered(&[5, 6])),
    ]));
    let mut small = Box::pin(it.db.write(&it.main, numbered(&[7])));
    assert!(futures_util::poll!(&mut batches).is_pending() && futures_util::poll!(&mut small).is_pending());
    drop(release);

    let (held, batches, small) = tokio::join!(holding, batches, small);

    assert!(held.is_ok() && small.is_ok());
    assert!(matches!(&batches[..], [Ok(()), Err(Error::Conflict { .. }), Ok(())]), "{batches:?}");
    assert_eq!(*order.lock().expect("unpoisoned"), [1, 7, 3, 5]);
    assert_eq!(it.notes().await, [1, 2, 5, 6, 7]);
}

/// Then it ends its turn; alone it does more in one commit.
#[tokio::test]
async fn bulk_work_is_told_when_others_wait() {
    let it = fixture(Options::default()).await;
    let asked = |tx: &mut Tx<'_>| Ok::<_, Error>(tx.others_wait());
    assert!(!it.db.write_as(Class::BULK, &it.main, asked).await.expect("written"), "nobody does");
    let (release, holding) = it.hold().await;
    let mut bulk = Box::pin(it.db.write_as(Class::BULK, &it.main, asked));
    assert!(futures_util::poll!(&mut bulk).is_pending());
    let mut small = Box::pin(it.db.write(&it.main, |tx| insert(tx, 1)));
    assert!(futures_util::poll!(&mut small).is_pending());
    drop(release);

    let (held, bulk, small) = tokio::join!(holding, bulk, small);

    assert!(held.is_ok() && small.is_ok());
    assert!(bulk.expect("written"));
}

/// Within a transaction that goes on, and within another attempt.
#[tokio::test]
async fn an_attempt_that_fails_undoes_what_it_did_and_nothing_else() {
    let it = fixture(Options::default()).await;
    let outcome = it.db.write(&it.main, |tx| {
        insert(tx, 1)?;
        let taken = tx.attempt(|tx| {
            insert(tx, 2)?;
            let inner: Result<(), Error> = tx.attempt(|tx| insert(tx, 3).and_then(|()| insert(tx, 3)));
            assert!(matches!(inner, Err(Error::Conflict { .. })), "{inner:?}");
            insert(tx, 4)?;
            insert(tx, 1)
        });
        assert!(matches!(taken, Err(Error::Conflict { .. })), "{taken:?}");
        tx.attempt(|tx| insert(tx, 5))?;
        let own = tx.attempt::<(), _>(|tx| tx.batch("SAVEPOINT mine"));
        assert!(own.is_err(), "only the writer has savepoints");
        insert(tx, 6)
    });

    assert!(outcome.await.is_ok());
    assert_eq!(it.notes().await, [1, 5, 6]);
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

/// `RETURNING` hands out a row before the statement is over, and a foreign key is looked at when it is.
#[tokio::test]
async fn a_row_that_a_constraint_takes_back_is_not_found() {
    let it = fixture(Options::default()).await;
    let dangling = "INSERT INTO parts (n) VALUES ($1) RETURNING n";

    let found = it.db.write(&it.main, move |tx| tx.find(dangling, &[77_i64.into()], |row| row.integer(0))).await;

    assert!(matches!(found, Err(Error::Conflict { .. })), "{found:?}");
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
