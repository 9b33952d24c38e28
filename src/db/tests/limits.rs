//! What a closure may not do.
use super::*;

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
