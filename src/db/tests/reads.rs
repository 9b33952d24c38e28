//! What a reader sees, and how long it may take.
use super::*;

#[tokio::test]
async fn a_write_is_seen_by_the_next_read() {
    let it = fixture(Options::default()).await;

    it.db.write(&it.main, |tx| insert(tx, 1)).await.expect("written");

    let found =
        it.db.get(&it.main, |tx| tx.find("SELECT n FROM notes WHERE n = $1", &[1_i64.into()], |row| row.integer(0)));
    assert_eq!(found.await.expect("read"), Some(1));
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

    // It may have been begun again, and then what was written is there from the beginning.
    let (before, after) = states.expect("read");
    assert_eq!(before, after);
    assert_eq!(it.notes().await, [1]);
}

#[tokio::test]
async fn a_short_read_waits_for_none_that_takes_long_whoever_asks() {
    let it = fixture(Options { read_budget: Duration::from_secs(2), ..Options::default() }).await;
    const ENDLESS: &str = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c";
    let endless = || it.db.read(&it.main, |tx| tx.find(ENDLESS, &[], |row| row.integer(0)));
    let mut many = futures_util::future::select_all((0..8).map(|_| Box::pin(endless())));
    assert!(futures_util::poll!(&mut many).is_pending());

    for _ in 0..8 {
        assert_eq!(it.notes().await, Vec::<i64>::new());
    }

    assert!(futures_util::poll!(&mut many).is_pending(), "none of these had its two seconds");
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

/// One client that asks for much must not keep the others from what they ask for.
#[tokio::test]
async fn a_read_waits_for_few_of_those_that_one_other_asker_sent_before() {
    let it = fixture(Options { read_threads: 2, ..Options::default() }).await;
    let finished = Arc::new(AtomicUsize::new(0));
    let slow = |_| {
        let finished = Arc::clone(&finished);
        it.db.read(&it.main, move |_| {
            std::thread::sleep(Duration::from_millis(20));
            finished.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Error>(())
        })
    };
    let mut many = Box::pin(lanes::on_behalf_of(Asker::alone(1), join_all((0..50).map(slow))));
    assert!(futures_util::poll!(&mut many).is_pending(), "all of them wait");

    lanes::on_behalf_of(Asker::alone(2), it.db.read(&it.main, all)).await.expect("read");

    assert!(finished.load(Ordering::Relaxed) < 10, "{} were done before", finished.load(Ordering::Relaxed));
    many.await;
}

/// A word in capitals does not tell which of its letters ends it.
#[tokio::test]
async fn small_letters_are_those_of_every_script_each_by_itself() {
    let it = fixture(Options::default()).await;
    let lower = async |text: &'static str| {
        let read = move |tx: &mut Tx<'_>| {
            tx.find("SELECT unicode_lower($1)", &[text.into()], |row| row.text(0).map(str::to_owned))
        };
        it.db.read(&it.main, read).await.expect("read").expect("a row")
    };

    assert_eq!(lower("ÀÉ Straße").await, "àé straße");
    assert_eq!(lower("ΟΔΟΣ").await, lower("οδος").await);
    assert!(lower("ΟΔΟΣΑ").await.contains(&lower("οδος").await));
}
