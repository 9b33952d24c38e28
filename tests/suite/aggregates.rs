//! Promises about aggregates: exact, in groups, and of nothing but what the caller may see.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

/// Sales of two people; the rule shows each their own, and the margin is hidden.
async fn app() -> TestApp {
    let app = TestApp::with_people().await;
    let sales = json!({
        "name": "sales",
        "fields": [
            { "name": "state", "type": "select", "values": ["open", "won"] },
            { "name": "tags", "type": "select", "values": ["a", "b"], "multiple": true },
            { "name": "amount", "type": "integer" },
            { "name": "score", "type": "number" },
            { "name": "paid", "type": "bool" },
            { "name": "at", "type": "datetime" },
            { "name": "owner", "type": "relation", "collection": "users" },
            { "name": "public", "type": "bool" },
            { "name": "margin", "type": "integer", "hidden": true },
        ],
        "rules": { "list": "public || owner == auth.id" },
    });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&sales).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    app
}

async fn sell(app: &TestApp, sales: &[Value]) {
    for sale in sales {
        let made = app.operator(Method::POST, "/api/v1/collections/sales/records").json(sale).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }
}

async fn ask(app: &TestApp, query: &str) -> Reply {
    app.operator(Method::GET, &format!("/api/v1/collections/sales/aggregate?{query}")).send().await
}

async fn data(app: &TestApp, query: &str) -> Value {
    let reply = ask(app, query).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].clone()
}

async fn refused(app: &TestApp, query: &str) -> Vec<(String, String)> {
    let reply = app.ask(Method::GET, &format!("/api/v1/collections/sales/aggregate?{query}")).send().await;
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let text = |it: &Value, member: &str| it[member].as_str().expect("a text").to_owned();
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (text(it, "pointer"), text(it, "code"))).collect()
}

#[tokio::test]
async fn records_are_counted_and_summed_up_in_groups() {
    let app = app().await;
    sell(
        &app,
        &[
            json!({ "state": "open", "amount": 1, "score": 0.5, "paid": true }),
            json!({ "state": "won", "amount": 2, "score": 1.5, "paid": true }),
            json!({ "state": "won", "amount": 3, "paid": false }),
            json!({ "amount": null }),
        ],
    )
    .await;

    assert_eq!(data(&app, "").await, json!([{ "count": 4 }]));
    let metrics = "count,count(amount),sum(amount),avg(score),min(amount),max(score),count(distinct%20paid)";
    assert_eq!(
        data(&app, &format!("groupBy=state&metrics={metrics}")).await,
        json!([
            { "state": null, "count": 1, "count(amount)": 0, "sum(amount)": null, "avg(score)": null, "min(amount)": null,
              "max(score)": null, "count(distinct paid)": 0 },
            { "state": "open", "count": 1, "count(amount)": 1, "sum(amount)": 1, "avg(score)": 0.5, "min(amount)": 1,
              "max(score)": 0.5, "count(distinct paid)": 1 },
            { "state": "won", "count": 2, "count(amount)": 2, "sum(amount)": 5, "avg(score)": 1.5, "min(amount)": 2,
              "max(score)": 1.5, "count(distinct paid)": 2 },
        ])
    );
    assert_eq!(
        data(&app, "groupBy=state,paid&where[amount][gte]=1&sort=-sum(amount)&metrics=sum(amount)").await,
        json!([
            { "state": "won", "paid": false, "sum(amount)": 3 },
            { "state": "won", "paid": true, "sum(amount)": 2 },
            { "state": "open", "paid": true, "sum(amount)": 1 },
        ])
    );
    let first = ask(&app, "groupBy=state&sort=-count&limit=1&filter=amount%20!=%20null").await;
    let expected = json!({ "data": [{ "state": "won", "count": 2 }], "meta": { "limit": 1, "hasMore": true } });
    assert_eq!(first.body, expected);
}

#[tokio::test]
async fn times_are_grouped_by_parts_of_the_calendar() {
    let app = app().await;
    let at = |at: &str| json!({ "at": at });
    sell(
        &app,
        &[
            at("2026-01-05T00:00:00Z"), // a Monday
            at("2026-01-11T23:59:59.999Z"),
            at("2026-01-12T00:00:00Z"),
            at("1969-12-31T23:59:59.999Z"),
            at("2024-02-29T12:30:00Z"),
        ],
    )
    .await;
    let starts = async |unit: &str| {
        let groups = data(&app, &format!("groupBy=at:{unit}")).await;
        let name = format!("at:{unit}");
        let groups = groups.as_array().expect("groups").iter();
        groups.map(|it| format!("{} {}", it[&name].as_str().expect("a time"), it["count"])).collect::<Vec<_>>()
    };

    let midnight = |days: &[(&str, u32)]| -> Vec<String> {
        days.iter().map(|(day, count)| format!("{day}T00:00:00.000Z {count}")).collect()
    };
    assert_eq!(starts("year").await, midnight(&[("1969-01-01", 1), ("2024-01-01", 1), ("2026-01-01", 3)]));
    assert_eq!(starts("month").await, midnight(&[("1969-12-01", 1), ("2024-02-01", 1), ("2026-01-01", 3)]));
    assert_eq!(
        starts("week").await,
        midnight(&[("1969-12-29", 1), ("2024-02-26", 1), ("2026-01-05", 2), ("2026-01-12", 1)])
    );
    assert_eq!(
        starts("day").await,
        midnight(&[("1969-12-31", 1), ("2024-02-29", 1), ("2026-01-05", 1), ("2026-01-11", 1), ("2026-01-12", 1)])
    );
    assert_eq!(starts("hour").await[..2], ["1969-12-31T23:00:00.000Z 1", "2024-02-29T12:00:00.000Z 1"]);
}

#[tokio::test]
async fn sums_of_whole_numbers_are_exact_or_refused() {
    let app = app().await;
    let of = |state: &str, amounts: &[i64]| -> Vec<Value> {
        amounts.iter().map(|it| json!({ "state": state, "amount": it })).collect()
    };
    sell(&app, &of("open", &[i64::MAX, i64::MIN, i64::MAX - 1, 1])).await;
    sell(&app, &of("won", &[i64::MIN, 1, -1])).await;

    assert_eq!(
        data(&app, "groupBy=state&metrics=sum(amount)&sort=-sum(amount)").await,
        json!([{ "state": "open", "sum(amount)": i64::MAX - 1 }, { "state": "won", "sum(amount)": i64::MIN }])
    );
    sell(&app, &of("won", &[-1])).await;
    let reply = ask(&app, "groupBy=state&metrics=sum(amount)").await;
    assert_eq!((reply.refusal().0, &reply.body["errors"][0]["code"]), (422, &json!("out-of-range")));
    sell(&app, &[json!({ "score": 1e308 }), json!({ "score": 1e308 })]).await;
    assert_eq!(ask(&app, "metrics=sum(score)").await.refusal().0, 422);
}

#[tokio::test]
async fn nobody_counts_what_they_may_not_list() {
    let app = app().await;
    sell(&app, &[json!({ "amount": 1, "public": true }), json!({ "amount": 7, "public": false, "margin": 3 })]).await;
    let stranger = async |query: &str| {
        app.ask(Method::GET, &format!("/api/v1/collections/sales/aggregate?{query}")).send().await.body["data"].clone()
    };

    assert_eq!(stranger("metrics=count,max(amount)").await, json!([{ "count": 1, "max(amount)": 1 }]));
    assert_eq!(stranger("groupBy=amount").await, json!([{ "amount": 1, "count": 1 }]));
    assert_eq!(data(&app, "metrics=sum(margin)").await, json!([{ "sum(margin)": 3 }]));
    // A field that is hidden and one that is not there get the same answer.
    for parameter in ["groupBy={}", "metrics=sum({})", "sort={}", "filter={}%20==%201", "where[{}]=1"] {
        let answer = async |name: &str| refused(&app, &parameter.replace("{}", name)).await;
        let (hidden, missing) = (answer("margin").await, answer("nargim").await);
        let plain = |it: Vec<(String, String)>| it.into_iter().map(|(_, code)| code).collect::<Vec<_>>();
        assert_eq!(plain(hidden), plain(missing), "{parameter}");
    }
    let closed = json!({ "rules": { "list": null } });
    app.operator(Method::PATCH, "/api/v1/collections/sales").json(&closed).send().await;
    let path = "/api/v1/collections/sales/aggregate?groupBy=nonsense";
    assert_eq!(app.ask(Method::GET, path).send().await.refusal(), (401, "not-signed-in"));
    assert_eq!(app.as_role("user", Method::GET, path).send().await.refusal(), (403, "not-allowed"));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_with_the_reason() {
    let app = app().await;
    let code = async |query: &str| {
        let faults = refused(&app, query).await;
        assert_eq!(faults.len(), 1, "{faults:?}");
        let (pointer, code) = faults[0].clone();
        format!("{pointer} {code}")
    };

    for (query, expected) in [
        ("groupBy=nothing", "?groupBy unknown"),
        ("groupBy=tags", "?groupBy type"),
        ("groupBy=state:day", "?groupBy type"),
        ("groupBy=at:minute", "?groupBy unknown"),
        ("groupBy=state,state", "?groupBy duplicate"),
        ("groupBy=state,paid,at,amount", "?groupBy too-many"),
        ("groupBy=state&groupBy=paid", "?groupBy duplicate"),
        ("groupBy=%22)--", "?groupBy unknown"),
        ("metrics=", "?metrics unknown"),
        ("metrics=sum", "?metrics unknown"),
        ("metrics=median(amount)", "?metrics unknown"),
        ("metrics=sum(state)", "?metrics type"),
        ("metrics=sum(distinct%20amount)", "?metrics unknown"),
        ("metrics=avg(at)", "?metrics type"),
        ("metrics=min(paid)", "?metrics type"),
        ("metrics=count,count", "?metrics duplicate"),
        ("metrics=count(nothing)", "?metrics unknown"),
        ("sort=amount", "?sort unknown"),
        ("sort=count,-count", "?sort duplicate"),
        ("limit=0", "?limit out-of-range"),
        ("limit=501", "?limit out-of-range"),
        ("cursor=x", "?cursor unknown"),
        ("fields=id", "?fields unknown"),
        ("grupBy=state", "?grupBy unknown"),
    ] {
        assert_eq!(code(query).await, expected, "{query}");
    }
}
