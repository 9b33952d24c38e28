//! Promises about importing and exporting records.
use futures_util::StreamExt;
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

async fn app() -> TestApp {
    let app = TestApp::with_people().await;
    let words = json!({
        "name": "words",
        "fields": [
            { "name": "lemma", "type": "text", "required": true, "unique": true },
            { "name": "count", "type": "integer", "default": 1, "max": 1000 },
            { "name": "weight", "type": "number" },
            { "name": "rare", "type": "bool" },
            { "name": "tags", "type": "select", "values": ["a", "b"], "multiple": true },
            { "name": "extra", "type": "json" },
            { "name": "seen", "type": "datetime" },
            { "name": "root", "type": "relation", "collection": "words" },
            { "name": "note", "type": "text", "hidden": true },
        ],
        "indexes": [{ "fields": ["weight", "seen"], "unique": true }],
        "rules": { "list": "rare != true", "view": "true" },
    });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&words).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    app
}

async fn import(app: &TestApp, query: &str, media_type: &str, file: &str) -> Reply {
    let path = format!("/api/v1/collections/words/records/import?{query}");
    app.as_role("admin", Method::POST, &path).header("content-type", media_type).raw(file).send().await
}

async fn export(app: &TestApp, role: &str, query: &str) -> Reply {
    app.as_role(role, Method::GET, &format!("/api/v1/collections/words/records/export?{query}")).send().await
}

fn lemmas(ndjson: &str) -> Vec<String> {
    let record =
        |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["lemma"].as_str().expect("a lemma").to_owned();
    ndjson.lines().map(record).collect()
}

#[tokio::test]
async fn what_is_there_already_is_refused_with_all_that_makes_it_so() {
    let app = app().await;
    let record = |lemma: &str, seen: &str| json!({ "lemma": lemma, "weight": 1.5, "seen": seen }).to_string();
    let (day, other) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let file = [record("a", day), record("b", day), record("c", other), record("a", day)].join("\n");

    let report = import(&app, "", "application/x-ndjson", &file).await.body;

    let fault = |field: &str| json!({ "pointer": format!("/{field}"), "code": "not-unique", "detail": "another record has this value" });
    let errors = json!([
        { "record": 2, "line": 2, "errors": [fault("weight"), fault("seen")] },
        { "record": 4, "line": 4, "errors": [fault("lemma"), fault("weight"), fault("seen")] },
    ]);
    assert_eq!((&report["imported"], &report["errors"]), (&json!(2), &errors));
}

/// A file without line breaks has but one line.
#[tokio::test]
async fn a_refused_record_is_named_by_its_place_in_the_file() {
    let app = app().await;

    let report = import(&app, "", "application/json", r#"[{"lemma":"a"},{"lemma":5},{"lemma":"c"},5]"#).await.body;

    let places: Vec<_> = report["errors"].as_array().expect("errors").iter().map(|it| &it["record"]).collect();
    assert_eq!((&report["imported"], places), (&json!(2), vec![&json!(2), &json!(4)]), "{report}");
}

#[tokio::test]
async fn a_cell_that_would_be_kept_as_something_else_is_refused() {
    let app = app().await;
    let file =
        "lemma,weight,extra\na,inf,\nb,1e999,\nc,NaN,\nd\0,,\ne,,\"{\"\"a\"\": 1, \"\"a\"\": 2}\"\nf,1.5,[1]\ng,,\"[1";

    let report = import(&app, "", "text/csv", file).await.body;

    assert_eq!(report["imported"], 1, "{report}");
    let lines: Vec<_> = report["errors"].as_array().expect("errors").iter().map(|it| it["line"].as_u64()).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 8].map(Some));
    let twice = import(&app, "", "text/csv", "lemma,count,lemma\na,1,b\n").await.body;
    assert_eq!(twice["detail"], "the column `lemma` is there twice");
}

/// One bad line costs itself only.
#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_line_and_all_else_is_imported() {
    let app = app().await;
    let file = [
        r#"{"lemma": "one"}"#,
        r#"{"lemma": "two", "count": 1001, "nope": 1}"#,
        "nonsense",
        "",
        r#"{"lemma": "one"}"#,
        r#"{"lemma": "three", "root": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80"}"#,
        r#"{"lemma": "four", "lemma": "five"}"#,
        "[]",
        r#"{"lemma": "six", "id": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e81", "createdAt": "2020-01-02T03:04:05Z"}"#,
        r#"{"lemma": "seven", "root": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e81"}"#,
    ]
    .join("\n");

    let report = import(&app, "", "application/x-ndjson", &file).await;

    assert_eq!(report.status, 200, "{report:?}");
    assert_eq!((&report.body["imported"], &report.body["refused"]), (&json!(3), &json!(6)), "{report:?}");
    let refused: Vec<_> = report.body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|it| (it["line"].as_u64().expect("a line"), it["errors"][0]["code"].as_str().expect("a code")))
        .collect();
    let expected =
        [(2, "too-large"), (3, "malformed"), (5, "not-unique"), (6, "no-such-record"), (7, "duplicate"), (8, "type")];
    assert_eq!(refused, expected);
    assert_eq!(report.body["errors"][0]["errors"].as_array().map(Vec::len), Some(2), "all of a line's faults at once");
    let six =
        app.ask(Method::GET, "/api/v1/collections/words/records/0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e81").send().await;
    assert_eq!(six.body["createdAt"], "2020-01-02T03:04:05.000Z");
}

#[tokio::test]
async fn what_is_exported_can_be_imported_again_in_every_format() {
    let app = app().await;
    let file = [
        json!({ "lemma": "=1+1", "count": -5, "weight": 0.1, "rare": false, "tags": ["b", "a"], "note": "x" }),
        json!({ "lemma": "a,\"b\"\nc", "extra": { "a": [1, null, "é"] }, "seen": "2026-01-02T03:04:05.678Z" }),
        json!({ "lemma": "'quoted", "extra": "text", "tags": [] }),
        json!({ "lemma": "-", "extra": 3 }),
    ];
    let text = serde_json::to_string(&file).expect("JSON");
    assert_eq!(import(&app, "", "application/json", &text).await.body["imported"], 4);
    let ndjson = export(&app, "admin", "").await;
    assert_eq!(lemmas(&ndjson.text).len(), 4);
    assert_eq!(ndjson.header("content-disposition"), Some("attachment; filename=\"words.ndjson\""));
    for (format, media_type) in [("ndjson", "application/x-ndjson"), ("json", "application/json"), ("csv", "text/csv")]
    {
        let exported = export(&app, "admin", &format!("format={format}")).await;
        assert!(exported.content_type().starts_with(media_type), "{exported:?}");
        let empty = self::app().await;

        let report = import(&empty, "", media_type, &exported.text).await;

        assert_eq!((&report.body["imported"], &report.body["refused"]), (&json!(4), &json!(0)), "{format}: {report:?}");
        assert_eq!(export(&empty, "admin", "").await.text, ndjson.text, "{format}");
    }
}

/// A default is for what nobody gave; null and nothing were given.
#[tokio::test]
async fn null_and_an_empty_text_come_back_from_csv_as_what_they_are() {
    let make = async || {
        let app = TestApp::with_people().await;
        let fields = json!([
            { "name": "state", "type": "text", "default": "new" },
            { "name": "count", "type": "integer", "default": 5 },
            { "name": "sure", "type": "bool", "default": true, "required": true },
            { "name": "kind", "type": "select", "values": ["a", "b"], "default": "a" },
        ]);
        let made =
            app.operator(Method::POST, "/api/v1/collections").json(&json!({ "name": "words", "fields": fields }));
        assert_eq!(made.send().await.status, 201);
        app
    };
    let app = make().await;
    let file = [
        json!({ "state": null, "count": null, "kind": null }),
        json!({ "state": "", "count": 0, "sure": false }),
        json!({}),
    ];
    import(&app, "", "application/json", &json!(file).to_string()).await;
    let (csv, ndjson) = (export(&app, "admin", "format=csv").await.text, export(&app, "admin", "").await.text);

    let again = make().await;
    let report = import(&again, "", "text/csv", &csv).await.body;

    assert_eq!(report["imported"], 3, "{report}");
    assert_eq!(export(&again, "admin", "").await.text, ndjson);
    let (by_hand, report) = (make().await, "count,sure\n,\n7,\n");
    assert_eq!(import(&by_hand, "", "text/csv", report).await.body["imported"], 2);
    let records = export(&by_hand, "admin", "").await.text;
    let first: Value = serde_json::from_str(records.lines().next().expect("a record")).expect("JSON");
    assert_eq!((&first["state"], &first["count"], &first["sure"]), (&json!("new"), &Value::Null, &json!(true)));
}

#[tokio::test]
async fn a_cell_that_looks_like_json_must_be_json() {
    let app = app().await;

    let report =
        import(&app, "", "text/csv", "lemma,extra\na,{bad\nb,[1\nc,\"\"\"x\"\nd,plain words\ne,{}\n").await.body;

    let refused: Vec<_> = report["errors"].as_array().expect("errors").iter().map(|it| &it["record"]).collect();
    assert_eq!((refused, &report["imported"]), (vec![&json!(1), &json!(2), &json!(3)], &json!(2)), "{report}");
}

#[tokio::test]
async fn an_export_takes_each_parameter_once_and_names_those_that_it_does_not_take() {
    let app = app().await;

    for (query, pointers) in [
        ("format=csv&format=json", vec!["?format"]),
        ("format=csv&format=json&limt=1", vec!["?limt", "?format"]),
        ("limit=5&sort=lemma", vec!["?limit", "?sort"]),
    ] {
        let reply = export(&app, "admin", query).await;
        let told: Vec<_> = reply.body["errors"].as_array().into_iter().flatten().map(|it| &it["pointer"]).collect();
        assert_eq!(
            (reply.status, told),
            (422, pointers.iter().map(|it| json!(it)).collect::<Vec<_>>().iter().collect()),
            "{query}"
        );
    }
    let schema = app.as_role("admin", Method::GET, "/api/v1/collections/words/schema?x=1").send().await;
    assert_eq!(schema.status, 422);
}

/// Whoever mends a file at the command line mends all of it, not a thousand lines at a time.
#[tokio::test]
async fn the_operator_is_named_each_refused_record_and_others_the_first_thousand() {
    let app = app().await;
    let file = "{\"lemma\": 5}\n".repeat(1_200);
    let path = "/api/v1/collections/words/records/import?format=ndjson&dryRun=true";

    let (named, refused) = (|it: &Value| it["errors"].as_array().map(Vec::len), json!(1_200));
    let operator = app.operator(Method::POST, path).raw(&file).send().await.body;
    let admin = app.as_role("admin", Method::POST, path).raw(&file).send().await.body;

    assert_eq!((&operator["refused"], named(&operator)), (&refused, Some(1_200)));
    assert_eq!((&admin["refused"], named(&admin)), (&refused, Some(1_000)));
}

/// A spreadsheet runs what looks like a formula.
#[tokio::test]
async fn csv_has_no_formulas() {
    let app = app().await;
    import(&app, "", "application/x-ndjson", "{\"lemma\": \"=cmd()\"}\n{\"lemma\": \"@x\"}").await;

    let csv = export(&app, "admin", "format=csv").await;

    assert!(csv.text.contains(",'=cmd(),") && csv.text.contains(",'@x,"), "{}", csv.text);
}

#[tokio::test]
async fn an_export_shows_what_a_list_shows() {
    let app = app().await;
    import(
        &app,
        "",
        "application/x-ndjson",
        "{\"lemma\":\"a\",\"note\":\"x\"}\n{\"lemma\":\"b\",\"rare\":true}\n{\"lemma\":\"c\"}",
    )
    .await;

    assert_eq!(lemmas(&export(&app, "", "").await.text), ["a", "c"]);
    assert_eq!(lemmas(&export(&app, "admin", "").await.text), ["a", "b", "c"]);
    assert_eq!(lemmas(&export(&app, "", "filter=lemma%20!%3D%20'a'").await.text), ["c"]);
    assert_eq!(lemmas(&export(&app, "", "where[lemma]=a").await.text), ["a"]);
    assert!(!export(&app, "", "format=csv").await.text.contains("note"));
    assert_eq!(export(&app, "", "filter=note%20%3D%3D%20'x'").await.refusal().0, 422);
    assert_eq!(export(&app, "", "sort=lemma").await.refusal().0, 422);
    assert_eq!(export(&app, "", "format=xml").await.refusal().0, 422);
}

#[tokio::test]
async fn only_admins_import() {
    let app = app().await;
    for (role, status) in [("", 401), ("user", 403), ("readonly", 403)] {
        let reply = app.as_role(role, Method::POST, "/api/v1/collections/words/records/import").raw("{").send().await;
        assert_eq!(reply.status, status, "{role}");
    }
    assert_eq!(import(&app, "", "text/html", "").await.refusal().0, 422);
}

#[tokio::test]
async fn a_dry_run_imports_nothing() {
    let app = app().await;

    let report = import(&app, "dryRun=true", "application/x-ndjson", "{\"lemma\": \"a\"}\n{}").await;

    assert_eq!((&report.body["imported"], &report.body["refused"]), (&json!(1), &json!(1)));
    assert_eq!(export(&app, "admin", "").await.text, "");
}

/// More than fits one page, one batch or one report.
#[tokio::test]
async fn a_long_file_goes_in_and_comes_out_whole() {
    let app = app().await;
    let file: String =
        (0..3_000).map(|it| format!("{{\"lemma\": \"w{it:05}\", \"count\": {}}}\n", it % 1_003)).collect();

    let report = import(&app, "", "application/x-ndjson", &file).await;

    assert_eq!((&report.body["imported"], &report.body["refused"]), (&json!(2_996), &json!(4)), "{report:?}");
    let exported = export(&app, "admin", "").await.text;
    assert_eq!(lemmas(&exported).len(), 2_996);
    let total = app.as_role("admin", Method::GET, "/api/v1/collections/words/records?count=exact&limit=1").send().await;
    assert_eq!(total.body["meta"]["total"], 2_996);
    let bad: String = (0..2_500).map(|_| "{}\n").collect();
    let report = import(&app, "", "application/x-ndjson", &bad).await;
    assert_eq!((&report.body["refused"], report.body["errors"].as_array().map(Vec::len)), (&json!(2_500), Some(1_000)));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_on_says_how_far_it_got() {
    let app = app().await;

    let report = import(&app, "", "application/json", "[{\"lemma\": \"a\"}, {\"lemma\": \"b\"").await;

    assert_eq!((&report.body["imported"], report.body["stopped"].is_string()), (&json!(1), true), "{report:?}");
    let typo = import(&app, "", "text/csv", "lema\nx\n").await;
    assert_eq!(typo.refusal(), (422, "validation-failed"), "nothing of it was read");
    assert!(typo.str("detail").contains("did you mean `lemma`?"), "{typo:?}");
}

/// Somebody else's change of another collection is no reason to begin anew.
#[tokio::test]
async fn a_change_of_collections_meanwhile_breaks_off_neither_import_nor_export() {
    let app = app().await;
    let line = |it: usize| json!({ "lemma": format!("word {it}"), "extra": "x".repeat(400) }).to_string();
    let file = (0..6_000).map(line).collect::<Vec<_>>().join("\n");
    let stirring = async {
        for number in 0..20 {
            let other = json!({ "name": format!("other{number}"), "fields": [] });
            assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&other).send().await.status, 201);
        }
        let rules = json!({ "rules": { "list": "lemma != ''" } });
        app.operator(Method::PATCH, "/api/v1/collections/words").json(&rules).send().await.status
    };

    let (report, changed) = tokio::join!(import(&app, "", "application/x-ndjson", &file), stirring);

    assert_eq!(changed, 200);
    assert_eq!((&report.body["imported"], &report.body["stopped"]), (&json!(6_000), &json!(null)), "{report:?}");
    let stirring = async {
        for number in 0..20 {
            let path = format!("/api/v1/collections/other{number}");
            assert_eq!(app.operator(Method::DELETE, &path).send().await.status, 204);
        }
    };
    let (exported, ()) = tokio::join!(export(&app, "user", ""), stirring);
    assert_eq!(exported.text.lines().count(), 6_000);
}

#[tokio::test]
async fn an_import_whose_form_changes_ends_with_a_report_of_what_was_imported() {
    let app = app().await;
    let line = |it: usize| json!({ "lemma": format!("word {it}") }).to_string();
    let file = (0..6_000).map(line).collect::<Vec<_>>().join("\n");
    let stirring = async {
        while list_total(&app).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let fields = json!([{ "name": "lemma", "type": "text" }]);
        let fields = json!({ "fields": fields, "indexes": [], "rules": { "list": "true" } });
        app.operator(Method::PATCH, "/api/v1/collections/words").json(&fields).send().await
    };

    let (report, changed) = tokio::join!(import(&app, "", "application/x-ndjson", &file), stirring);

    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(report.status, 200, "{report:?}");
    let imported = report.body["imported"].as_u64().expect("a number");
    assert_eq!(list_total(&app).await, imported, "{report:?}");
    assert!(imported == 6_000 || report.body["stopped"].is_string(), "{report:?}");
}

async fn list_total(app: &TestApp) -> u64 {
    let path = "/api/v1/collections/words/records?limit=1&count=exact";
    app.operator(Method::GET, path).send().await.body["meta"]["total"].as_u64().expect("a total")
}

#[tokio::test]
async fn a_dry_run_sees_what_is_there_already_and_imports_nothing() {
    let app = app().await;
    import(&app, "", "text/csv", "lemma\nthere\n").await;
    let nobody = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";
    let file = format!("lemma,root\nthere,\nnew,{nobody}\n");

    let report = import(&app, "dryRun=true", "text/csv", &file).await.body;

    assert_eq!((&report["imported"], &report["refused"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(report["errors"][0]["line"], 2);
    assert_eq!(list_total(&app).await, 1);
}

/// What was only to be tried must not be done because of a typing error.
#[tokio::test]
async fn a_parameter_that_is_misspelt_or_doubled_imports_nothing() {
    let app = app().await;
    for query in ["dryrun=true", "dryRun=true&dryRun=false", "bogus=1", "format=csv&format=json"] {
        let reply = import(&app, query, "text/csv", "lemma\na\n").await;
        assert_eq!(reply.refusal(), (422, "validation-failed"), "{query}");
    }
    assert_eq!(list_total(&app).await, 0);
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_first_record() {
    let app = app().await;
    for (media_type, file) in [
        ("text/csv", "lemma\na\n"),
        ("application/x-ndjson", "{\"lemma\": \"b\"}"),
        ("application/json", "[{\"lemma\": \"c\"}]"),
    ] {
        let report = import(&app, "", media_type, &format!("\u{feff}{file}")).await.body;
        assert_eq!((&report["imported"], &report["refused"]), (&json!(1), &json!(0)), "{media_type} {report}");
    }
    let gap = import(&app, "", "application/json", "[{\"lemma\": \"d\"},,{\"lemma\": \"e\"}]").await.body;
    assert_eq!((&gap["imported"], &gap["refused"]), (&json!(2), &json!(1)), "{gap}");
}

/// Else it would last as long as its reader likes.
#[tokio::test]
async fn an_export_ends_with_the_session_that_asked_for_it() {
    let app = app().await;
    let line = |it: usize| json!({ "lemma": format!("word {it}"), "extra": "x".repeat(2_000) }).to_string();
    import(&app, "", "application/x-ndjson", &(0..3_000).map(line).collect::<Vec<_>>().join("\n")).await;
    let mut parts = app.as_role("user", Method::GET, "/api/v1/collections/words/records/export").stream().await;
    assert!(parts.next().await.is_some_and(|it| it.is_ok()));

    assert_eq!(app.as_role("user", Method::POST, "/api/v1/auth/logout-all").send().await.status, 204);

    let rest: Vec<_> = parts.collect().await;
    assert!(rest.last().is_some_and(Result::is_err), "it was not broken off");
}

#[tokio::test]
async fn a_file_stays_whole_when_what_was_to_come_is_deleted_meanwhile() {
    let app = app().await;
    let line = |it: usize| json!({ "lemma": format!("word {it}"), "extra": "x".repeat(2_000) }).to_string();
    import(&app, "", "application/x-ndjson", &(0..600).map(line).collect::<Vec<_>>().join("\n")).await;
    let path = "/api/v1/collections/words/records";
    let last: Vec<_> =
        app.operator(Method::GET, &format!("{path}?sort=-id&limit=500&fields=id")).send().await.body["data"]
            .as_array()
            .expect("data")
            .iter()
            .map(|it| it["id"].as_str().expect("an id").to_owned())
            .collect();
    let mut parts = app.operator(Method::GET, &format!("{path}/export?format=json")).stream().await;
    let mut file = parts.next().await.expect("a part").expect("whole").to_vec();

    for id in last {
        app.operator(Method::DELETE, &format!("{path}/{id}")).send().await;
    }

    while let Some(part) = parts.next().await {
        file.extend_from_slice(&part.expect("whole"));
    }
    let records: Vec<Value> = serde_json::from_slice(&file).expect("one JSON array");
    assert!((100..600).contains(&records.len()), "{}", records.len());
}

/// A batch is bounded in bytes too: five hundred records of a megabyte would not fit one transaction.
#[tokio::test]
async fn large_records_are_imported_like_small_ones() {
    let app = app().await;
    let line = |it: usize| json!({ "lemma": format!("word {it}"), "extra": "x".repeat(900_000) }).to_string();
    let file = (0..30).map(line).collect::<Vec<_>>().join("\n");

    let report = import(&app, "", "application/x-ndjson", &file).await.body;

    assert_eq!((&report["imported"], &report["refused"]), (&json!(30), &json!(0)), "{report}");
}

#[tokio::test]
async fn a_list_without_a_sort_has_the_order_of_the_imported_file() {
    let app = app().await;
    let file = (0..1_000).map(|it| format!("{{\"lemma\": \"word {it}\"}}\n")).collect::<String>();
    import(&app, "", "application/x-ndjson", &file).await;

    let exported = export(&app, "admin", "").await;

    assert_eq!(lemmas(&exported.text), (0..1_000).map(|it| format!("word {it}")).collect::<Vec<_>>());
}
