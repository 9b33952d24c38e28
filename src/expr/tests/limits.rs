//! How much an expression may ask for: in letters, in depth, and in SQL.
use super::*;

/// Most SQL that one expression may become, with room for the largest form that is let through.
const SQL_BYTES_MAX: usize = 129 << 10;

/// Either compiles to a statement that SQLite takes, or is refused as too large. Tells which.
fn fits(world: &World, text: &str) -> bool {
    let outcomes = [Purpose::Filter, Purpose::UpdateRule].map(|purpose| match world.compile("posts", purpose, text) {
        Ok(compiled) => {
            assert!(compiled.sql("r").len() < SQL_BYTES_MAX, "{text}: {} bytes", compiled.sql("r").len());
            world.select("posts", &compiled);
            true
        }
        Err(error) => {
            assert_eq!(error.code, "expression-too-long", "{text}: {error:?}");
            false
        }
    });
    outcomes[0] && outcomes[1]
}

/// `wrap` around `core`, as often as the bounds let through.
fn nested(core: &str, wrap: impl Fn(&str) -> String) -> Vec<String> {
    let grown = std::iter::successors(Some(core.to_owned()), |inner| Some(wrap(inner)));
    grown.take_while(|it| bounds::check(it).is_ok()).collect()
}

#[test]
fn a_text_has_a_largest_size() {
    let of = |bytes: usize| format!("title == '{}'", "x".repeat(bytes - 11));
    assert!(parse(&of(2_000)).is_ok());
    assert_eq!(parse(&of(2_001)).expect_err("refused").code, "expression-too-long");
    assert_eq!(parse(&"é".repeat(1_001)).expect_err("refused").code, "expression-too-long");

    let terms = |count: usize| vec!["a==1"; count].join("||");
    assert!(parse(&terms(50)).is_ok(), "199 words and signs");
    let error = parse(&terms(51)).expect_err("refused");
    assert_eq!((error.code, error.position), ("expression-too-long", Some(300)));

    let within = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&within(24)).is_ok());
    assert_eq!(parse(&within(25)).expect_err("refused").code, "expression-too-long");
    assert_eq!(parse(&within(900)).expect_err("refused").code, "expression-too-long");
    let lists = format!("{}1{}", "[".repeat(25), "]".repeat(25));
    assert_eq!(parse(&lists).expect_err("refused").code, "expression-too-long");

    let dots = |count: usize| format!("a{} == 1", ".b".repeat(count));
    assert!(parse(&dots(8)).is_ok());
    assert_eq!(parse(&dots(9)).expect_err("refused").code, "expression-too-long");
    assert_eq!(parse("a . b . c . d . e . f . g . h . i . j").expect_err("refused").code, "expression-too-long");
    assert!(parse("1.5 + 1.5 + 1.5 + 1.5 + 1.5 + 1.5 + 1.5 + 1.5 + 1.5 == 1.5").is_ok());
}

#[test]
fn a_condition_follows_so_many_relations_and_no_more() {
    let world = World::new();
    let steps = |count: usize| vec!["author.name == 'Ada'"; count].join(" || ");
    assert_eq!(world.found(&steps(24)), "apple");
    let error = world.compile("posts", Purpose::Rule, &steps(25)).expect_err("refused");
    assert_eq!((error.code, error.position.is_some()), ("expression-too-long", true), "{error:?}");
    assert!(fits(&world, "parent.parent.parent.parent.parent.parent.parent.title == 'x'"));
    let exists = |inner: &str| format!("posts_via_parent.exists(p, {inner})");
    assert!(nested("true", exists).iter().filter(|it| fits(&world, it)).count() == 9);
}

/// Rules on the way count too, and a filter cannot make the statement grow without end by them.
#[test]
fn the_rules_on_the_way_are_counted() {
    let mut tables: Vec<Table> =
        ["users", "posts", "comments", "letters"].map(|it| schema().table(it).expect("a table").clone()).into();
    let rule = ["author.name == 'Ada'"; 12].join(" || ");
    tables[1].view = View::When(parse(&rule).expect("a rule"));
    let world = World { schema: Schema::new(tables), ..World::new() };

    assert!(fits(&world, "parent.views == 1"));
    assert!(!fits(&world, "parent.views == 1 || parent.title == 'a'"));
}

/// What is taken once in the text may stand several times in the SQL: within one another that would double each
/// time, until there is no memory left.
#[test]
fn an_expression_cannot_explode() {
    let world = World::new();
    let shapes: [fn(&str) -> String; 10] = [
        |it| format!("title.endsWith({it} ? 'a' : 'b')"),
        |it| format!("title.startsWith({it} ? title : note)"),
        |it| format!("({it} ? title : note).endsWith('a')"),
        |it| format!("({it} ? title : note).startsWith('a')"),
        |it| format!("(auth.id != ({it} ? auth.id : 'b'))"),
        |it| format!("(({it} ? auth.id : 'b') != auth.email)"),
        |it| format!("parent.title.endsWith({it} ? 'a' : 'b')"),
        |it| format!("posts_via_parent.exists(p, p.title.endsWith({it} ? 'a' : 'b'))"),
        |it| format!("({it} ? title : note) in ['a', 'b']"),
        |it| format!("(size({it} ? 'a' : 'b') == 1)"),
    ];
    for (at, shape) in shapes.iter().enumerate() {
        let all = nested("published", shape);
        let fitting = all.iter().filter(|it| fits(&world, it)).count();
        assert!(5 <= all.len() && 4 <= fitting, "shape {at}: {fitting} of {}", all.len());
    }
}

/// SQLite takes trees of a certain depth; what would be deeper is refused before it is asked.
#[test]
fn a_long_chain_is_refused_or_runs() {
    let world = World::new();
    let chains: [fn(&str) -> String; 10] = [
        |it| format!("{it} != true"),
        |it| format!("{it} == true"),
        |it| format!("true == {it}"),
        |it| format!("1 + {it}"),
        |it| format!("published ? true : {it}"),
        |it| format!("published && {it}"),
        |it| format!("published && ({it})"),
        |it| format!("published || !({it})"),
        |it| format!("({it}) != published"),
        |it| format!("published ? ({it}) : false"),
    ];
    for (at, chain) in chains.iter().enumerate() {
        let core = if at == 3 { "1 == views" } else { "published" };
        let all = nested(core, chain);
        let fitting = all.iter().filter(|it| fits(&world, it)).count();
        assert!(20 <= all.len() && 12 <= fitting, "chain {at}: {fitting} of {}", all.len());
    }
    assert!(fits(&world, &vec!["views == 1"; 50].join(" || ")), "as many terms as there may be");
    assert!(fits(&world, &vec!["views != 1"; 50].join(" && ")));
    assert!(fits(&world, &format!("views in [{}]", vec!["1"; 96].join(", "))));
}

/// A filter as deep as it may be, over a rule as deep as it may be, beside conditions.
#[test]
fn depth_is_counted_through_the_rules_on_the_way() {
    let chain = |length: usize| format!("published{}", " != true".repeat(length));
    let deepest = (1..99).rev().find(|it| World::empty().compile("posts", Purpose::Rule, &chain(*it)).is_ok());
    let mut tables: Vec<Table> =
        ["users", "posts", "comments", "letters"].map(|it| schema().table(it).expect("a table").clone()).into();
    tables[1].view = View::When(parse(&chain(deepest.expect("some"))).expect("a rule"));
    let world = World { schema: Schema::new(tables), ..World::new() };

    for length in 1..80 {
        fits(&world, &format!("parent.{}", chain(length)));
        fits(&world, &format!("posts_via_parent.exists(p, p.{})", chain(length)));
    }
}

/// The compiler recurses too: on the small stack of a thread that serves requests.
#[test]
fn the_deepest_expression_needs_little_stack() {
    let deep = nested("published", |it| format!("title.endsWith(!({it}) != true ? 'a' : 'b')"));
    let chain = format!("published{}", " != true".repeat(99));
    let texts: Vec<_> = deep.into_iter().chain([chain]).collect();
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    let compiled = thread.spawn(move || {
        for text in texts {
            let _ = parse(&text).and_then(|it| compile(&schema(), "posts", &it, Purpose::Filter));
        }
    });
    compiled.expect("a thread").join().expect("no overflow");
}
