//! Numbers: 64 bits, fractions, and where the two meet.
use std::cmp::Ordering;

use super::*;

const WHOLE: [i64; 14] = [
    i64::MIN,
    i64::MIN + 1,
    -9_007_199_254_740_993,
    -7,
    -1,
    0,
    1,
    2,
    7,
    9_007_199_254_740_992,
    9_007_199_254_740_993,
    i64::MAX - 512,
    i64::MAX - 1,
    i64::MAX,
];

const FRACTIONS: [f64; 16] = [
    f64::MIN,
    -9_223_372_036_854_775_808.0,
    -1.5,
    -5e-324,
    -0.0,
    0.0,
    5e-324,
    0.1,
    0.30000000000000004,
    1.0,
    1.5,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_774_784.0,
    9_223_372_036_854_775_808.0,
    f64::MAX,
];

/// Whether a comparison holds, given how its sides lie to each other.
type Holds = fn(Ordering) -> bool;

const SIGNS: [(&str, Holds); 6] = [
    ("==", |it| it.is_eq()),
    ("!=", |it| it.is_ne()),
    ("<", |it| it.is_lt()),
    ("<=", |it| it.is_le()),
    (">", |it| it.is_gt()),
    (">=", |it| it.is_ge()),
];

/// How a whole number lies to a fraction, without rounding either.
pub(super) fn exactly(whole: i64, fraction: f64) -> Ordering {
    if fraction >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    if fraction < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it fits, as just looked at")]
    let floor = fraction.floor() as i64;
    let rest = if fraction.fract() == 0.0 { Ordering::Equal } else { Ordering::Less };
    whole.cmp(&floor).then(rest)
}

fn numbers() -> World {
    let world = World::empty();
    let named = |at: usize, field: &str, number: Json| (format!("{field}{at:02}"), json!({ field: number }));
    let whole = WHOLE.iter().enumerate().map(|(at, it)| named(at, "views", json!(it)));
    let fractions = FRACTIONS.iter().enumerate().map(|(at, it)| named(at, "score", json!(it)));
    let records: Vec<_> = whole.chain(fractions).collect();
    world.add("posts", &records.iter().map(|(id, it)| (id.as_str(), it.clone())).collect::<Vec<_>>());
    world
}

fn ids<T: Copy>(field: &str, numbers: &[T], matches: impl Fn(T) -> bool) -> Vec<String> {
    let found = numbers.iter().enumerate().filter(|(_, it)| matches(**it)).map(|(at, _)| format!("{field}{at:02}"));
    found.collect()
}

/// Each number beside each literal. With an index and without: that must not change what is equal.
#[test]
fn numbers_are_compared_exactly_whether_whole_or_not() {
    let world = numbers();
    for is_indexed in [false, true] {
        if is_indexed {
            world.write(|tx| tx.batch("CREATE INDEX v ON c_posts (views); CREATE INDEX s ON c_posts (score);"));
        }
        for (sign, holds) in SIGNS {
            for number in WHOLE {
                let found = world.found(&format!("views != null && views {sign} {number}"));
                assert_eq!(found, ids("views", &WHOLE, |it| holds(it.cmp(&number))).join(" "), "{sign} {number}");
                // A whole number beside a fraction is one too, rounded as JSON would.
                let found = world.found(&format!("score != null && score {sign} {number}"));
                let expected = ids("score", &FRACTIONS, |it| it.partial_cmp(&(number as f64)).is_some_and(holds));
                assert_eq!(found, expected.join(" "), "score {sign} {number}, indexed: {is_indexed}");
            }
            for number in FRACTIONS {
                let found = world.found(&format!("views != null && views {sign} {number:?}"));
                let expected = ids("views", &WHOLE, |it| holds(exactly(it, number)));
                assert_eq!(found, expected.join(" "), "views {sign} {number:?}, indexed: {is_indexed}");
                let found = world.found(&format!("score != null && score {sign} {number:?}"));
                let expected = ids("score", &FRACTIONS, |it| it.partial_cmp(&number).is_some_and(holds));
                assert_eq!(found, expected.join(" "), "score {sign} {number:?}, indexed: {is_indexed}");
            }
        }
    }
}

#[test]
fn a_sum_that_does_not_fit_becomes_a_fraction_and_never_wraps() {
    let world = World::empty();
    for (id, views) in [("least", i64::MIN), ("one", 1), ("most", i64::MAX)] {
        world.add("posts", &[(id, json!({ "views": views, "score": views as f64 }))]);
    }
    world.finds(&[
        ("views == 9223372036854775807", "most"),
        ("views == -9223372036854775808", "least"),
        ("views + 1 > views", "least most one"),
        ("views - 1 < views", "most one"),
        ("views + 1 == 9223372036854775808.0", "most"),
        ("views * 2 > 9223372036854775807", "most"),
        ("-views == 9223372036854775808.0", "least"),
        ("-views > 0", "least"),
        ("views / -1 == 9223372036854775808.0", "least"),
        ("views % -1 == 0", "least most one"),
        ("views == score", "least one"),
        ("score * 1e300 > 1e308", "most"),
    ]);
}

#[test]
fn division_is_as_in_cel_and_by_zero_gives_null() {
    World::new().finds(&[
        ("7 / 2 == 3", "apple banana empty"),
        ("-7 / 2 == -3", "apple banana empty"),
        ("7 / -2 == -3", "apple banana empty"),
        ("-7 % 2 == -1", "apple banana empty"),
        ("7 % -2 == 1", "apple banana empty"),
        ("7 / 2.0 == 3.5", "apple banana empty"),
        ("views / 4 == 2", "banana"),
        ("views / 4.0 == 2.5", "banana"),
        ("10 / (views - 1) == null", "apple empty"),
        ("10 % (views - 1) == null", "apple empty"),
        ("10.0 / (score - 0.5) == null", "apple empty"),
        ("10 / (views - 1) >= 1", "banana"),
        ("views + 1 == null", "empty"),
        ("views + score == 1.5", "apple"),
        ("views * score == -15", "banana"),
        ("views - score == 0.5", "apple"),
        ("-score == 1.5", "banana"),
        ("0.1 + 0.2 == 0.3", ""),
        ("0x10 == 16", "apple banana empty"),
        ("1e3 == 1000", "apple banana empty"),
    ]);
}

#[test]
fn a_number_that_does_not_fit_is_refused() {
    for text in [
        "views == 9223372036854775808",
        "views == -9223372036854775809",
        "views == 0x8000000000000000",
        "score == 1e400",
        "score == -1e400",
    ] {
        let error = parse(text).expect_err("refused");
        assert_eq!(error.code, "expression-malformed", "{text}: {error:?}");
        assert!(error.position.is_some_and(|it| (9..=10).contains(&it)), "{text}: {error:?}");
    }
    let world = World::new();
    for text in ["views == 1u", "views == 0x1u", "views == 18446744073709551615u"] {
        let error = world.compile("posts", Purpose::Rule, text).expect_err("refused");
        assert_eq!((error.code, error.position), ("expression-not-supported", Some(9)), "{text}: {error:?}");
    }
}

#[test]
fn places_are_as_far_from_each_other_as_they_are() {
    World::new().finds(&[
        ("place.distance(52.520008, 13.404954) == 0.0", "apple"),
        ("place.distance(52.520008, 13.404954) <= 0", "apple"),
        ("place.distance(52.520008, 13.404954) < 0", ""),
        ("place.distance(52.52, 13.4) < 1000", "apple"),
        ("place.distance(52.52, 13.4) < 900000", "apple banana"),
        ("place.distance(52.52, 13.4) > 1000.0", "banana"),
        ("distance(place, 52.52, 13.4) < 1000", "apple"),
        ("1000 > place.distance(52.52, 13.4)", "apple"),
        ("parent.place.distance(52.52, 13.4) < 1000", "banana"),
        ("place.distance(parent.place) > 800000.0", "banana"),
        ("place.distance(place) == 0.0", "apple banana"),
        ("place == null", "empty"),
        ("place != null", "apple banana"),
        ("place.lat == 52.520008 && place.lon == 13.404954", "apple"),
        ("place.lon < 3.0", "banana"),
        ("place == parent.place", "empty"),
    ]);
    for text in [
        "place.distance(91, 0) < 1",
        "place.distance(1) < 1",
        "place.distance(views, 1) < 1",
        "title.distance(1, 1) < 1",
        "place < place",
        "place == 'x'",
        "place.x == 1",
        "place.distance(1, 1)",
        "place.distance(0, 0, 0) < 1",
    ] {
        assert!(World::new().compile("posts", Purpose::Rule, text).is_err(), "{text}");
    }
}
