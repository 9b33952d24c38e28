//! A power cut takes what was not synced. Nothing that was acknowledged may be among it.
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steading::base::{Clock, TenantId};
use steading::db::{Db, Error, Folder, Options, Tx};

use crate::vfs::{self, Loss};

const CUTS: u64 = 40;
/// Writes between two cuts at most: what the file system remembers is in memory.
const WRITES_PER_CUT: i64 = 400;
const TABLE: &str = "CREATE TABLE IF NOT EXISTS ledger (n BIGINT NOT NULL PRIMARY KEY, text TEXT)";

fn insert(tx: &mut Tx<'_>, n: i64) -> Result<(), Error> {
    // Of different sizes, so that cuts fall on different places of a page.
    let text = "x".repeat(usize::try_from(n % 700).unwrap_or(0));
    tx.execute("INSERT INTO ledger (n, text) VALUES ($1, $2)", &[n.into(), (&text).into()]).map(drop)
}

fn open(folder: &Path) -> Db {
    let folder = Folder::take(folder).expect("taken");
    Db::open(folder, Options { free_bytes_min: 0, ..Options::default() }, Clock::system()).expect("opened")
}

/// Cuts the power at forty moments of a busy minute, and each time looks at what is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_write_survives_a_power_cut() {
    vfs::install();
    let folder = tempfile::tempdir().expect("a folder");
    let (data, main) = (folder.path().join("data"), TenantId::main());
    let db = open(&data);
    db.create_tenant(&main).expect("made");
    db.write_alone(&main, |tx| tx.batch(TABLE)).await.expect("a table");

    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let (next, is_over) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let allowed = Arc::new(AtomicI64::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (db, main) = (db.clone(), main.clone());
        let (acknowledged, next, is_over) = (Arc::clone(&acknowledged), Arc::clone(&next), Arc::clone(&is_over));
        let allowed = Arc::clone(&allowed);
        clients.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                if allowed.load(Ordering::Relaxed) <= next.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                let n = next.fetch_add(1, Ordering::Relaxed);
                db.write(&main, move |tx| insert(tx, n)).await.expect("written");
                acknowledged.lock().expect("alone").push(n);
            }
        });
    }
    for round in 0..CUTS {
        allowed.fetch_add(WRITES_PER_CUT, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5 + round % 7 * 3)).await;
        let known = acknowledged.lock().expect("alone").clone();
        let left = folder.path().join(format!("cut-{round}"));
        let loss = if round % 4 == 0 { Loss::All } else { Loss::Some(round * 2_654_435_761) };
        vfs::cut(&data, &left, loss);

        let found = look(&left).await;
        let lost: Vec<_> = known.iter().filter(|it| !found.contains(it)).collect();
        assert!(lost.is_empty(), "cut {round} ({loss:?}) lost {lost:?} of {} acknowledged", known.len());
        std::fs::remove_dir_all(left).expect("removed");
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client");
    }

    let count = acknowledged.lock().expect("alone").len();
    assert!(1_000 < count, "only {count} writes were acknowledged");
    println!("{CUTS} power cuts over {count} acknowledged writes, and none was lost");
}

/// What is in the ledger after a cut, and that the database is whole.
async fn look(left: &Path) -> std::collections::HashSet<i64> {
    let (db, main) = (open(left), TenantId::main());
    assert_eq!(db.examine(&main).expect("examined"), Vec::<String>::new());
    let rows = db.read(&main, |tx| tx.query("SELECT n FROM ledger", &[], |row| row.integer(0))).await;
    rows.expect("read").into_iter().collect::<std::collections::HashSet<i64>>()
}

/// The same with what others run: so the cuts above can fail.
#[test]
fn the_same_cuts_lose_writes_where_synchronous_is_normal() {
    vfs::install();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).expect("made");
    let connection = rusqlite::Connection::open(data.join("records.db")).expect("opened");
    connection
        .execute_batch(&format!("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {TABLE};"))
        .expect("a table");
    let mut lost = 0;
    for n in 0..200_i64 {
        connection.execute("INSERT INTO ledger (n) VALUES (?1)", [n]).expect("acknowledged");
        if n % 20 == 0 {
            let left = folder.path().join(format!("cut-{n}"));
            vfs::cut(&data, &left, Loss::All);
            let after = rusqlite::Connection::open(left.join("records.db")).expect("opened");
            let count = after.query_row("SELECT count(*) FROM ledger", [], |row| row.get::<_, i64>(0)).unwrap_or(0);
            lost += n + 1 - count;
        }
    }

    assert!(0 < lost, "nothing was lost, so a cut does not take what it should");
}
