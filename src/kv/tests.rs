//! Counting, and what survives.
use std::sync::atomic::Ordering;

use redb::{ReadableDatabase, ReadableTable};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn clock() -> Clock {
    Clock::stopped_at(Timestamp::from_millis(0))
}

#[test]
fn a_window_begins_with_its_first_count_and_ends_at_its_end() {
    let (kv, clock) = (Kv::in_memory(), clock());

    assert_eq!(kv.count_up("a", MINUTE, clock.now()).count, 1);
    clock.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(kv.count_up("a", MINUTE, clock.now()).count, 2);
    clock.advance(Duration::from_millis(1));
    assert_eq!(kv.count_up("a", MINUTE, clock.now()).count, 1);
    assert_eq!(kv.count_up("b", MINUTE, clock.now()).count, 1);
}

/// A restart must not be a way around a limit.
#[test]
fn counters_survive_a_restart() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let path = folder.path().join("cache.redb");
    let kv = Kv::open(&path, &clock);
    kv.count_up("a", MINUTE, clock.now());
    kv.count_up("gone", MINUTE, clock.now());
    kv.forget("gone");
    kv.flush(clock.now()).expect("flushed");
    drop(kv);

    let kv = Kv::open(&path, &clock);

    assert_eq!(kv.count_up("a", MINUTE, clock.now()).count, 2);
    assert_eq!(kv.count_up("gone", MINUTE, clock.now()).count, 1);
}

#[test]
fn a_damaged_file_is_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache.redb");
    std::fs::write(&path, "not redb ".repeat(5_000)).expect("written");

    let kv = Kv::open(&path, &clock());

    assert_eq!(kv.count_up("a", MINUTE, Timestamp::from_millis(0)).count, 1);
}

/// What is in it may be lost, and a server that does not start for its cache is worse.
#[test]
fn a_file_with_damage_anywhere_in_it_is_begun_anew() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let path = folder.path().join("cache.redb");
    let kv = Kv::open(&path, &clock);
    for n in 0..2_000 {
        kv.count_up(&n.to_string(), MINUTE, clock.now());
    }
    kv.flush(clock.now()).expect("flushed");
    drop(kv);
    let whole = std::fs::read(&path).expect("closed");

    for part in 0..whole.len() / 4_096 {
        for fill in [0x00, 0xA5, 0xFF] {
            let mut bytes = whole.clone();
            bytes[part * 4_096..(part + 1) * 4_096].fill(fill);
            std::fs::write(&path, bytes).expect("written");

            let kv = Kv::open(&path, &clock);
            kv.count_up("a", MINUTE, clock.now());
            kv.flush(clock.now()).expect("flushed");
        }
    }
}

/// Windows that were over while the server was down would fill the file for ever.
#[test]
fn windows_that_ended_meanwhile_are_not_in_the_file_any_more() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let path = folder.path().join("cache.redb");
    let kv = Kv::open(&path, &clock);
    kv.count_up("ended", MINUTE, clock.now());
    kv.count_up("goes on", 3 * MINUTE, clock.now());
    kv.flush(clock.now()).expect("flushed");
    drop(kv);
    clock.advance(MINUTE);

    drop(Kv::open(&path, &clock));

    let file = redb::Database::open(&path).expect("opened");
    let counters: redb::TableDefinition<'_, &str, (u32, i64)> = redb::TableDefinition::new("counters");
    let table = file.begin_read().expect("begun").open_table(counters).expect("there");
    let keys: Vec<_> = table.iter().expect("read").map(|it| it.expect("read").0.value().to_owned()).collect();
    assert_eq!(keys, ["goes on"]);
}

/// Else each new key of a flood would cost a look at all others.
#[test]
fn making_room_makes_room_for_many() {
    let kv = Kv::in_memory();
    for n in 0..COUNTERS_MAX {
        let window = MINUTE + Duration::from_millis(u64::try_from(n).expect("small"));
        kv.count_up(&n.to_string(), window, Timestamp::from_millis(0));
    }
    let one_has_ended = Timestamp::from_millis(0).plus(MINUTE);

    kv.count_up("one more", MINUTE, one_has_ended);

    assert!(kv.lock().by_key.len() <= COUNTERS_MAX * 3 / 4, "{} are left", kv.lock().by_key.len());
}

#[test]
fn a_flood_of_keys_does_not_grow_memory() {
    let kv = Kv::in_memory();

    for n in 0..COUNTERS_MAX + 10 {
        kv.count_up(&n.to_string(), MINUTE, Timestamp::from_millis(0));
    }

    assert!(kv.lock().by_key.len() <= COUNTERS_MAX);
}

/// A disk that was full for a while must not cost what was counted meanwhile, nor all that comes after.
#[test]
fn what_could_not_be_written_is_written_later() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let path = folder.path().join("cache.redb");
    let (file, is_full) = file::tests::on_a_disk_that_fills(&path);
    let kv = Kv { file: Some(Arc::new(file)), ..Kv::in_memory() };
    kv.count_up("before", MINUTE, clock.now());
    kv.flush(clock.now()).expect("there is room");

    is_full.store(true, Ordering::Relaxed);
    kv.count_up("meanwhile", MINUTE, clock.now());
    assert!(kv.flush(clock.now()).is_err());
    kv.flush(clock.now()).expect("opened anew, on a disk with room");
    kv.count_up("after", MINUTE, clock.now());
    kv.flush(clock.now()).expect("and so on");
    drop(kv);

    let kv = Kv::open(&path, &clock);
    for key in ["before", "meanwhile", "after"] {
        assert_eq!(kv.count_up(key, MINUTE, clock.now()).count, 2, "{key}");
    }
}

/// As long as a disk takes nothing, every key of a flood would wait to be written.
#[test]
fn what_waits_to_be_written_does_not_grow_memory() {
    let kv = Kv::in_memory();

    for n in 0..COUNTERS_MAX * 2 {
        kv.count_up(&n.to_string(), MINUTE, Timestamp::from_millis(0));
    }

    assert!(matches!(&kv.lock().changed, Changed::All));
    kv.flush(Timestamp::from_millis(0)).expect("flushed");
    assert!(matches!(&kv.lock().changed, Changed::Keys(none) if none.is_empty()));
}

/// What is in it may be lost, and a server that does not start for its cache is worse.
#[test]
fn a_file_that_cannot_be_made_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache.redb");
    std::fs::create_dir(&path).expect("made");
    std::fs::write(path.join("in the way"), "").expect("written");

    let kv = Kv::open(&path, &clock());

    assert_eq!(kv.count_up("a", MINUTE, Timestamp::from_millis(0)).count, 1);
    assert!(kv.flush(Timestamp::from_millis(0)).is_err());
    std::fs::remove_dir_all(&path).expect("removed");
    kv.flush(Timestamp::from_millis(0)).expect("begun at last");
    drop(kv);
    assert_eq!(Kv::open(&path, &clock()).count_up("a", MINUTE, Timestamp::from_millis(0)).count, 2);
}
