//! Texts: compared by bytes, whatever is in them.
use super::*;

/// Texts that mean something to SQL, to patterns, to this language, or to nobody.
const ODD: [&str; 34] = [
    "",
    "a",
    "A",
    "ab",
    "b",
    "100%",
    "100x",
    "a_b",
    "axb",
    "*",
    "[a]",
    "it's",
    "''",
    "say \"so\"",
    "back\\slash",
    "\\",
    "$1",
    "?1",
    ":a",
    "@",
    "@.id",
    "--",
    "'; DROP TABLE c_posts; --",
    "a\nb",
    "a\tb",
    "é",
    "É",
    "日本",
    "日\u{10ffff}",
    "\u{1f600}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{10ffff}",
    "\u{10ffff}\u{10ffff}",
];

fn odd() -> World {
    let world = World::empty();
    let records: Vec<_> = ODD.iter().enumerate().map(|(at, it)| (format!("{at:02}"), json!({ "title": it }))).collect();
    let records: Vec<_> = records.iter().map(|(id, it)| (id.as_str(), it.clone())).collect();
    world.add("posts", &records);
    world.add("posts", &[("nothing", json!({}))]);
    world
}

fn ids(matches: impl Fn(&str) -> bool) -> String {
    let found = ODD.iter().enumerate().filter(|(_, it)| matches(it)).map(|(at, _)| format!("{at:02}"));
    found.collect::<Vec<_>>().join(" ")
}

/// Each odd text beside each other one, as a literal and as a value of the request.
#[test]
fn no_text_is_taken_for_anything_but_itself() {
    let world = odd();
    for text in ODD {
        let quoted = literal(text);

        assert_eq!(world.found(&format!("title == {quoted}")), ids(|it| it == text), "{text:?}");
        assert_eq!(world.found(&format!("title in ['§', {quoted}]")), ids(|it| it == text), "{text:?}");
        assert_eq!(world.found(&format!("title < {quoted}")), ids(|it| it < text), "{text:?}");
        assert_eq!(world.found(&format!("title >= {quoted}")), ids(|it| it >= text), "{text:?}");
        assert_eq!(world.found(&format!("title.contains({quoted})")), ids(|it| it.contains(text)), "{text:?}");
        assert_eq!(world.found(&format!("title.startsWith({quoted})")), ids(|it| it.starts_with(text)), "{text:?}");
        assert_eq!(world.found(&format!("title.endsWith({quoted})")), ids(|it| it.ends_with(text)), "{text:?}");
        let small = text.to_lowercase();
        let has_it = ids(|it| it.to_lowercase().contains(&small));
        assert_eq!(world.found(&format!("title.icontains({quoted})")), has_it, "{text:?}");
    }
}

#[test]
fn a_part_that_is_not_known_beforehand_is_looked_for_too() {
    for text in ODD {
        let new = vec![("title".to_owned(), Constant::Text(text.to_owned()))];
        let world = odd().of(Facts { new, ..facts() });
        let found = |call: &str| world.found_in("posts", Purpose::CreateRule, call);

        assert_eq!(found("title == request.body.title"), ids(|it| it == text), "{text:?}");
        assert_eq!(found("title.contains(request.body.title)"), ids(|it| it.contains(text)), "{text:?}");
        assert_eq!(found("title.startsWith(request.body.title)"), ids(|it| it.starts_with(text)), "{text:?}");
        assert_eq!(found("title.endsWith(request.body.title)"), ids(|it| it.ends_with(text)), "{text:?}");
        assert_eq!(found("request.body.title.startsWith(title)"), ids(|it| text.starts_with(it)), "{text:?}");
        assert_eq!(found("request.body.title.endsWith(title)"), ids(|it| text.ends_with(it)), "{text:?}");
    }
}

#[test]
fn case_counts_unless_asked_not_to() {
    let world = World::new();
    world.add("posts", &[("school", json!({ "title": "École ÀÇ Σ" }))]);

    world.finds(&[
        ("title.contains('app')", ""),
        ("title.contains('pp')", "apple"),
        ("title.icontains('APP')", "apple"),
        ("title.icontains('AN')", "banana"),
        ("title.startsWith('a')", ""),
        ("title.startsWith('A')", "apple"),
        ("title.endsWith('E')", ""),
        ("title.icontains('éCOLE')", "school"),
        ("title.icontains('àç')", "school"),
        ("title.icontains('σ')", "school"),
        ("title.contains('é')", ""),
    ]);
}

/// A text function is false beside null, on whichever side it is.
#[test]
fn nothing_contains_nothing() {
    World::new().finds(&[
        ("title.contains('')", "apple banana"),
        ("title.icontains('')", "apple banana"),
        ("title.startsWith('')", "apple banana"),
        ("title.endsWith('')", "apple banana"),
        ("note.endsWith('')", "banana"),
        ("'Apple pie'.contains(note)", "banana"),
        ("'Apple pie'.icontains(note)", "banana"),
        ("'Apple pie'.startsWith(note)", "banana"),
        ("'pie Apple'.endsWith(note)", "banana"),
        ("title.contains(note)", ""),
        ("!title.contains(note)", "apple banana empty"),
        ("author.name.endsWith('')", "apple banana"),
        ("title.endsWith('xApple')", ""),
        ("title.startsWith('Applex')", ""),
    ]);
}

#[test]
fn texts_are_measured_in_characters_and_joined() {
    let world = World::new();
    world.add("posts", &[("face", json!({ "title": "é\u{1f600}" }))]);

    world.finds(&[
        ("size(title) == 5", "apple"),
        ("title.size() == 6", "banana"),
        ("size(title) == 2", "face"),
        ("size(title) > 0", "apple banana face"),
        ("size(title) == null", "empty"),
        ("size('') == 0", "apple banana empty face"),
        ("title + '!' == 'Apple!'", "apple"),
        ("'<' + title + '>' == '<banana>'", "banana"),
        ("title + note == 'bananaApple'", "banana"),
        ("title + note == null", "apple empty face"),
        ("(title + note).startsWith('banana')", "banana"),
        ("size(title + note) == 11", "banana"),
    ]);
}

#[test]
fn escapes_and_both_quotes_are_read() {
    World::new().finds(&[
        (r#"title == "Apple""#, "apple"),
        (r"title == '\x41pple'", "apple"),
        (r"title == '\u0041pple'", "apple"),
        (r"title == '\U00000041pple'", "apple"),
        (r"title == '\101pple'", "apple"),
        (r#"'it\'s' == "it's""#, "apple banana empty"),
        (r#"'"' == "\"""#, "apple banana empty"),
        (r"size('\\') == 1", "apple banana empty"),
        (r"'\ud83d\ude00' == '😀' && title == '\u0041pple'", "apple"),
        (r#"'a\/b' == "a/b" && '\\/' != '/'"#, "apple banana empty"),
        ("title ==\n\t'Apple'", "apple"),
    ]);
}

#[test]
fn what_is_no_character_or_number_is_refused_with_the_reason() {
    for (text, place, words) in [
        (r"title == 'é\ud800'", 11, "half a character"),
        (r"title == '\ude00\ud83d'", 10, "half a character"),
        ("title == 1_000", 9, "without `_`"),
        ("size(title) < 9223372036854775808", 14, "at most 64 bits"),
    ] {
        let error = parse(text).expect_err("refused");
        assert!(error.detail.contains(words), "{text}: {error:?}");
        assert_eq!(error.position, Some(place), "{text}");
    }
    for fine in [
        "a == -9223372036854775808",
        "a == 0.12345678901234567890123",
        "a == 9223372036854775807",
        "a < 9223372036854775808.0",
    ] {
        assert!(parse(fine).is_ok(), "{fine}");
    }
}

#[test]
fn no_text_contains_nul() {
    let world = World::new();
    for text in [r"title == 'a\u0000b'", r"title == '\x00'", r"title == '\000'", r"title.startsWith('\U00000000')"] {
        let error = world.compile("posts", Purpose::Rule, text).expect_err("refused");
        assert_eq!(error.code, "expression-malformed", "{text}: {error:?}");
        assert!(error.detail.contains("U+0000") && error.position.is_some(), "{text}: {error:?}");
    }
    let error = parse("title == 'a\0b'").expect_err("refused");
    assert_eq!((error.code, error.position), ("expression-malformed", Some(11)));
}
