//! Whatever an expression and whatever the records: the SQL finds what the expression means.
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::model::Scene;
use super::tree::{Is, Of};
use super::*;

/// In every text, so that one that got into the SQL is seen there.
const MARK: char = '¤';
const TEXTS: [&str; 14] = ["", "¤", "¤a", "¤A", "¤ab", "a¤", "¤%", "¤_", "¤'", "¤\"", "¤é", "¤É", "¤@", "¤$1"];
/// In no number that the compiler writes by itself.
const WHOLE_MARK: i64 = 7_654_321;
const WHOLE: [i64; 11] = [0, 1, 2, 3, -1, -2, WHOLE_MARK, 9_007_199_254_740_993, i64::MAX, i64::MIN + 1, i64::MIN];
const FRACTIONS: [f64; 11] =
    [0.0, -0.0, 0.5, 1.0, 2.0, -1.5, 0.7654321, 1e300, -1e300, 9_007_199_254_740_992.0, 9_223_372_036_854_775_808.0];
const MOMENTS: [&str; 4] =
    ["2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z", "2025-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z"];
const POSTS: [&str; 4] = ["a", "b", "c", "d"];
const COMMENTS: [&str; 4] = ["¤a", "¤ab", "¤'", "¤é"];
/// What comments are looked for in.
const RANGES: [&str; 3] = ["comments_via_post", "pinned", "parent.pinned"];

const SIGNS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// Strategies for trees of some depth.
#[derive(Clone)]
struct Trees {
    is: BoxedStrategy<Is>,
    text: BoxedStrategy<Of>,
    integer: BoxedStrategy<Of>,
    number: BoxedStrategy<Of>,
    moment: BoxedStrategy<Of>,
}

fn fields(kind: &Kind, names: &[&'static str], more: &[&'static str]) -> BoxedStrategy<Of> {
    let (kind, names) = (kind.clone(), [names, more].concat());
    select(names).prop_map(move |it| Of::Field(it, kind.clone())).boxed()
}

fn boxed<T>(strategy: &BoxedStrategy<T>) -> BoxedStrategy<Box<T>>
where
    T: std::fmt::Debug + 'static,
{
    strategy.clone().prop_map(Box::new).boxed()
}

/// Names and literals. In `exists` the comment `c` has names too.
fn leaves(in_exists: bool) -> Trees {
    let of_comment = |names: &'static [&'static str]| if in_exists { names } else { &[] };
    let texts = [
        "title",
        "note",
        "id",
        "author",
        "author.name",
        "parent.title",
        "parent.author.name",
        "auth.id",
        "auth.email",
        "request.ip",
    ];
    let flags = [&["published", "parent.published", "auth.verified", "auth.signedIn"][..], of_comment(&["c.approved"])];
    let is = prop_oneof![
        any::<bool>().prop_map(Is::Literal),
        select(flags.concat()).prop_map(Is::Field),
        select(vec!["author.name", "parent.title", "parent.views", "extra.a", "parent.extra.b"]).prop_map(Is::There),
    ];
    let moments =
        fields(&Kind::Moment, &["publishedAt", "parent.publishedAt", "createdAt", "now"], of_comment(&["c.createdAt"]));
    Trees {
        is: is.boxed(),
        text: prop_oneof![
            fields(&Kind::Text, &texts, of_comment(&["c.text", "c.id", "c.post.title"])),
            select(TEXTS.to_vec()).prop_map(|it| Of::Text(it.to_owned())),
        ]
        .boxed(),
        integer: prop_oneof![
            fields(&Kind::Integer, &["views", "parent.views"], of_comment(&["c.post.views"])),
            select(WHOLE.to_vec()).prop_map(Of::Integer),
        ]
        .boxed(),
        number: prop_oneof![
            fields(&Kind::Number, &["score", "parent.score"], &[]),
            select(FRACTIONS.to_vec()).prop_map(Of::Number),
        ]
        .boxed(),
        moment: prop_oneof![moments, select(MOMENTS.to_vec()).prop_map(|it| Of::Moment(it, false))].boxed(),
    }
}

/// Trees one deeper; `inner` is for what stands within `exists`, if that may stand here.
fn deeper(trees: &Trees, inner: Option<&Trees>) -> Trees {
    let Trees { is, text, integer, number, moment } = trees;
    let (bis, btext, binteger, bnumber) = (boxed(is), boxed(text), boxed(integer), boxed(number));
    let choice = |of: &BoxedStrategy<Box<Of>>| {
        (bis.clone(), of.clone(), of.clone()).prop_map(|(test, yes, no)| Of::Choice(test, yes, no))
    };
    let sum = |left: &BoxedStrategy<Box<Of>>, signs: &[&'static str], right: &BoxedStrategy<Box<Of>>| {
        (left.clone(), select(signs.to_vec()), right.clone()).prop_map(|(left, sign, right)| Of::Sum(left, sign, right))
    };
    let list = fields(&Kind::List, &["tags", "parent.tags", "pinned", "parent.pinned"], &[]);
    let numeric = prop_oneof![integer.clone(), number.clone()].boxed();
    let new_integer = prop_oneof![
        2 => integer.clone(),
        1 => sum(&binteger, &["+", "-", "*", "/", "%"], &binteger),
        1 => binteger.clone().prop_map(Of::Minus),
        1 => prop_oneof![btext.clone(), boxed(&list)].prop_map(Of::Size),
        1 => choice(&binteger),
    ];
    let new_number = prop_oneof![
        2 => number.clone(),
        1 => sum(&bnumber, &["+", "-", "*", "/"], &boxed(&numeric)),
        1 => sum(&binteger, &["+", "-", "*", "/"], &bnumber),
        1 => bnumber.clone().prop_map(Of::Minus),
        1 => choice(&bnumber),
    ];
    let new_text = prop_oneof![2 => text.clone(), 1 => sum(&btext, &["+"], &btext), 1 => choice(&btext)];
    let later = (boxed(moment), select(vec![-24_i64, -1, 1, 2])).prop_map(|(it, hours)| Of::Later(it, hours));
    let new_moment = prop_oneof![2 => moment.clone(), 1 => later];
    Trees {
        is: prop_oneof![
            1 => is.clone(),
            1 => bis.clone().prop_map(Is::Not),
            1 => (bis.clone(), bis.clone()).prop_map(|(left, right)| Is::And(left, right)),
            1 => (bis.clone(), bis.clone()).prop_map(|(left, right)| Is::Or(left, right)),
            1 => (bis.clone(), bis.clone(), bis.clone()).prop_map(|(test, yes, no)| Is::Choice(test, yes, no)),
            6 => comparisons(trees),
            1 => inner.map_or_else(
                || is.clone(),
                |it| (select(RANGES.to_vec()), boxed(&it.is)).prop_map(|(range, it)| Is::Exists(range, it)).boxed(),
            ),
        ]
        .boxed(),
        text: new_text.boxed(),
        integer: new_integer.boxed(),
        number: new_number.boxed(),
        moment: new_moment.boxed(),
    }
}

fn comparisons(trees: &Trees) -> BoxedStrategy<Is> {
    let Trees { is, text, integer, number, moment } = trees;
    let compared = |left: &BoxedStrategy<Of>, signs: &[&'static str], right: &BoxedStrategy<Of>| {
        let parts = (left.clone(), select(signs.to_vec()), right.clone());
        parts.prop_map(|(left, sign, right)| Is::Compared(left, sign, right)).boxed()
    };
    let numeric = prop_oneof![integer.clone(), number.clone()].boxed();
    let truth = boxed(is).prop_map(Of::Truth).boxed();
    let anything = prop_oneof![text.clone(), numeric.clone(), moment.clone(), truth.clone()].boxed();
    let json = fields(&Kind::Json, &["extra.a", "extra.b", "parent.extra.a", "extra.a.b"], &[]);
    let list = fields(&Kind::List, &["tags", "parent.tags", "pinned", "parent.pinned"], &[]);
    let nullable = prop_oneof![anything, json.clone(), list].boxed();
    let beside_json = prop_oneof![text.clone(), numeric.clone()].boxed();
    let null = Just(Of::Null).boxed();
    let bare = select(MOMENTS.to_vec()).prop_map(|it| Of::Moment(it, true)).boxed();
    let a_moment = fields(&Kind::Moment, &["publishedAt", "parent.publishedAt", "now"], &[]);
    let several = proptest::collection::vec(select(TEXTS.to_vec()).prop_map(|it| Of::Text(it.to_owned())), 0..4);
    let numbers = proptest::collection::vec(
        prop_oneof![select(WHOLE.to_vec()).prop_map(Of::Integer), select(FRACTIONS.to_vec()).prop_map(Of::Number)],
        0..4,
    );
    let numeric_fields =
        prop_oneof![fields(&Kind::Integer, &["views", "parent.views"], &[]), fields(&Kind::Number, &["score"], &[])];
    let functions = select(vec!["contains", "icontains", "startsWith", "endsWith"]);
    prop_oneof![
        compared(text, &SIGNS, text),
        compared(&numeric, &SIGNS, &numeric),
        compared(moment, &SIGNS, moment),
        compared(&a_moment, &SIGNS, &bare),
        compared(&bare, &SIGNS, &a_moment),
        compared(&truth, &["==", "!="], &truth),
        compared(&json, &SIGNS, &beside_json),
        compared(&beside_json, &SIGNS, &json),
        compared(&json, &["==", "!="], &truth),
        compared(&nullable, &SIGNS, &null),
        compared(&null, &SIGNS, &nullable),
        (text.clone(), several).prop_map(|(item, all)| Is::Among(item, all)),
        (numeric_fields, numbers).prop_map(|(item, all)| Is::Among(item, all)),
        (text.clone(), select(vec!["tags", "parent.tags", "pinned", "parent.pinned"]))
            .prop_map(|(item, list)| Is::Has(item, list)),
        (text.clone(), functions, text.clone()).prop_map(|(text, function, part)| Is::Part(text, function, part)),
    ]
    .boxed()
}

fn trees() -> BoxedStrategy<Is> {
    let mut inner = leaves(true);
    let mut outer = leaves(false);
    for _ in 0..3 {
        (inner, outer) = (deeper(&inner, None), deeper(&outer, Some(&inner)));
    }
    outer.is
}

fn maybe(values: Vec<Json>) -> BoxedStrategy<Json> {
    prop_oneof![1 => Just(Json::Null), 3 => select(values)].boxed()
}

fn texts() -> BoxedStrategy<Json> {
    maybe(TEXTS.iter().map(|it| json!(it)).collect())
}

fn post() -> impl Strategy<Value = Json> {
    let part = || {
        let one = [
            json!("¤a"),
            json!("¤"),
            json!(1),
            json!(0.5),
            json!(WHOLE_MARK),
            json!(true),
            json!(false),
            json!([1]),
            json!({ "b": "¤" }),
            Json::Null,
        ];
        select(one.to_vec())
    };
    let extra =
        prop_oneof![Just(Json::Null), Just(json!({})), (part(), part()).prop_map(|(a, b)| json!({ "a": a, "b": b }))];
    let tags =
        prop_oneof![Just(Json::Null), proptest::collection::vec(select(TEXTS.to_vec()), 0..3).prop_map(|it| json!(it))];
    let plain = (
        texts(),
        texts(),
        maybe(WHOLE.iter().map(|it| json!(it)).collect()),
        maybe(FRACTIONS.iter().map(|it| json!(it)).collect()),
    );
    let others = (maybe(vec![json!(true), json!(false)]), maybe(MOMENTS.iter().map(|it| json!(it)).collect()));
    let to_users = maybe(["¤a", "¤ab", "nobody"].map(|it| json!(it)).to_vec());
    let to_posts = maybe(["a", "b", "gone"].map(|it| json!(it)).to_vec());
    let pinned = prop_oneof![
        Just(Json::Null),
        proptest::sample::subsequence(COMMENTS.to_vec(), 0..=4).prop_shuffle().prop_map(|it| json!(it)),
    ];
    (plain, others, tags, extra, (to_users, to_posts), pinned).prop_map(
        |((title, note, views, score), (published, at), tags, extra, (author, parent), pinned)| {
            json!({
                "title": title, "note": note, "views": views, "score": score, "published": published,
                "publishedAt": at, "tags": tags, "extra": extra, "author": author, "parent": parent,
                "pinned": pinned,
            })
        },
    )
}

fn comment() -> impl Strategy<Value = Json> {
    let approved = maybe(vec![json!(true), json!(false)]);
    let post = maybe(["a", "b", "gone"].map(|it| json!(it)).to_vec());
    (texts(), post, approved)
        .prop_map(|(text, post, approved)| json!({ "text": text, "post": post, "approved": approved }))
}

fn scene() -> impl Strategy<Value = Scene> {
    let posts = proptest::collection::vec(post(), 3..=POSTS.len());
    let comments = proptest::collection::vec(comment(), 0..4);
    let caller = prop_oneof![Just(None), select(vec!["¤a", "¤ab"]).prop_map(|it| Some(it.to_owned()))];
    (posts, comments, caller, any::<bool>()).prop_map(|(posts, comments, auth_id, is_client)| {
        let named = |ids: [&str; 4], records: Vec<Json>| {
            ids.iter().map(|it| (*it).to_owned()).zip(records).collect::<BTreeMap<_, _>>()
        };
        let users = [("¤a", json!({ "name": "¤A" })), ("¤ab", json!({ "name": null }))];
        let is_known = auth_id.is_some();
        let auth_email = is_known.then(|| "¤ab".to_owned());
        let request = Facts { now: moment(NOW), method: "GET".to_owned(), ip: auth_email.clone(), ..Facts::default() };
        Scene {
            posts: named(POSTS, posts),
            users: users.map(|(id, it)| (id.to_owned(), it)).into(),
            comments: named(COMMENTS, comments),
            facts: Facts { auth_id, auth_email, auth_signed_in: is_known, auth_verified: is_known, ..request },
            is_client,
        }
    })
}

fn show(world: &World, scene: &Scene) {
    let tables = [("posts", scene.posts.clone()), ("users", scene.users.clone()), ("comments", scene.comments.clone())];
    world.write(move |tx| {
        tx.batch("DELETE FROM j_pinned")?;
        for (table, records) in &tables {
            tx.batch(&format!("DELETE FROM c_{table}"))?;
            records.iter().try_for_each(|(id, record)| insert(tx, table, id, record))?;
        }
        Ok(())
    });
}

/// What was bound never stands in the SQL.
fn has_no_value_in_it(sql: &str) -> bool {
    let quoted: Vec<_> = sql.split('\'').skip(1).step_by(2).collect();
    let ours = ["text", "integer", "real", "true", "false", "$.\"a\"", "$.\"b\"", "$.\"a\".\"b\""];
    !sql.contains(MARK)
        && !sql.contains(&WHOLE_MARK.to_string())
        && !sql.contains("65432")
        && quoted.iter().all(|it| ours.contains(it))
}

fn check(world: &mut World, scene: &Scene, is: &Is) -> Result<(), TestCaseError> {
    let text = is.text(0);
    let purpose = if scene.is_client { Purpose::Filter } else { Purpose::Rule };
    let compiled = match world.compile("posts", purpose, &text) {
        Ok(compiled) => compiled,
        Err(error) => {
            prop_assert_eq!(error.code, "expression-too-long", "{}: {:?}", text, error);
            return Ok(());
        }
    };
    prop_assert!(has_no_value_in_it(&compiled.sql("r")), "{}: {}", text, compiled.sql("r"));
    let meant: Vec<_> = scene.posts.keys().filter(|it| scene.is(is, it, None)).cloned().collect();
    world.facts = scene.facts.clone();
    prop_assert_eq!(world.select("posts", &compiled), meant.join(" "), "{} as {}", text, compiled.sql("r"));
    if let Ok(negated) = world.compile("posts", purpose, &format!("!({text})")) {
        let not = Is::Not(Box::new(is.clone()));
        let rest: Vec<_> = scene.posts.keys().filter(|it| scene.is(&not, it, None)).cloned().collect();
        prop_assert_eq!(world.select("posts", &negated), rest.join(" "), "!({})", text);
    }
    Ok(())
}

/// Cases of a test that nobody asked for otherwise.
const USUAL_CASES: u32 = 256;

/// The same cases each time, so that a failure is somebody's change; `PROPTEST_CASES` asks for others, and how many.
#[test]
fn what_is_found_is_what_is_meant() {
    let world = std::cell::RefCell::new(World::empty());
    let usual = ProptestConfig::default();
    let rng_seed = if usual.cases == USUAL_CASES { RngSeed::Fixed(1) } else { RngSeed::Random };
    // Each case has several expressions, so it takes fewer of them.
    let config = ProptestConfig { cases: usual.cases / 4, failure_persistence: None, rng_seed, ..usual };
    let cases = (scene(), proptest::collection::vec(trees(), 8));
    let outcome = proptest::test_runner::TestRunner::new(config).run(&cases, |(scene, all)| {
        let mut world = world.borrow_mut();
        show(&world, &scene);
        all.iter().try_for_each(|is| check(&mut world, &scene, is))
    });

    assert!(outcome.is_ok(), "{}", outcome.expect_err("failed"));
}
