//! Moments and spans of time. It is 2026-03-01; the apple was published before, the banana will be.
use super::*;

const ALL: &str = "apple banana empty";

#[test]
fn a_text_beside_a_moment_is_a_moment() {
    World::new().finds(&[
        ("publishedAt == '2026-01-01T00:00:00Z'", "apple"),
        ("publishedAt == '2026-01-01T01:00:00+01:00'", "apple"),
        ("publishedAt == '2026-01-01T00:00:00.000999Z'", "apple"),
        ("publishedAt == '2026-01-01T00:00:00.001Z'", ""),
        ("publishedAt != '2026-01-01T00:00:00Z'", "banana empty"),
        ("publishedAt < '2026-03-01T00:00:00Z'", "apple"),
        ("'2026-03-01T00:00:00Z' < publishedAt", "banana"),
        ("publishedAt >= timestamp('2026-06-01T00:00:00Z')", "banana"),
        ("publishedAt in ['2026-06-01T00:00:00Z', '2026-01-01T00:00:00Z']", "apple banana"),
        ("publishedAt in [now, timestamp('2026-06-01T00:00:00Z')]", "banana"),
        ("'2026-03-01T00:00:00Z' in [now]", ALL),
        ("'2026-03-01T00:00:00Z' == now", ALL),
        ("createdAt == '1970-01-01T00:00:00Z'", ALL),
        ("createdAt <= updatedAt", ALL),
        ("publishedAt > createdAt", "apple banana"),
    ]);
}

#[test]
fn now_is_the_time_of_the_request() {
    World::new().finds(&[
        ("publishedAt < now", "apple"),
        ("publishedAt > now", "banana"),
        ("publishedAt > now + duration('91d')", "banana"),
        ("publishedAt > now + duration('92d')", ""),
        ("publishedAt == now + duration('92d')", "banana"),
        ("publishedAt > now - duration('59d')", "banana"),
        ("publishedAt >= now - duration('59d')", "apple banana"),
        ("publishedAt == now - duration('58d23h59m59s1000ms')", "apple"),
        ("duration('92d') + now == publishedAt", "banana"),
        ("now - duration('1h') - duration('1h') < now - duration('1h')", ALL),
        ("now - duration('-1h') == now + duration('60m')", ALL),
        ("publishedAt + duration('92d') > now", "apple banana"),
        ("publishedAt + duration('59d') == now", "apple"),
        ("publishedAt - duration('92d') == now", "banana"),
        ("publishedAt + duration('1s') == null", "empty"),
        ("duration('1h') == duration('60m')", ALL),
        ("duration('1h') < duration('59m')", ""),
        ("(published ? publishedAt : now) - duration('1s') < now", ALL),
    ]);
}

/// The ends of time stay ends.
#[test]
fn a_span_of_any_length_is_reckoned_with() {
    World::new().finds(&[
        ("now + duration('106751991167d') > publishedAt", "apple banana"),
        ("now + duration('9223372036854775807ms') > publishedAt", "apple banana"),
        ("now - duration('9223372036854775807ms') > publishedAt", ""),
        ("publishedAt + duration('9223372036854775807ms') > now", "apple banana"),
        ("now + duration('9223372036854775807ms') + duration('9223372036854775807ms') > now", ALL),
    ]);
}

#[test]
fn what_is_no_moment_and_no_span_is_refused() {
    let world = World::new();
    for (text, position, words) in [
        ("publishedAt == 'yesterday'", 12, "`yesterday` must be a time"),
        ("publishedAt == '2026-01-01'", 12, "RFC 3339"),
        ("publishedAt == 5", 12, "`publishedAt` is a time"),
        ("publishedAt in ['x']", 12, "`x` must be a time"),
        ("publishedAt == title", 12, "`title` is a text"),
        ("timestamp('x') == now", 9, "`x` must be a time"),
        ("timestamp(title) == now", 9, "such as '2026"),
        ("now + duration('1 h') > now", 14, "such as '90s'"),
        ("now + duration('') > now", 14, "such as '90s'"),
        ("now + duration('h') > now", 14, "such as '90s'"),
        ("now + duration('1y') > now", 14, "such as '90s'"),
        ("now + duration('9223372036854775808ms') > now", 14, "such as '90s'"),
        ("now + duration('9999999999999d') > now", 14, "such as '90s'"),
        ("now + duration('1é') > now", 14, "such as '90s'"),
        ("now + 5 > now", 4, "cannot be reckoned with"),
        ("now - publishedAt > duration('1h')", 4, "cannot be reckoned with"),
        ("now + (published ? duration('1h') : duration('2h')) > now", 4, "duration('24h')"),
    ] {
        let error = world.compile("posts", Purpose::Rule, text).expect_err(text);
        assert_eq!(error.position, Some(position), "{text}: {error:?}");
        assert!(error.detail.contains(words), "{text}: {error:?}");
    }
}
