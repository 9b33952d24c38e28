//! Whether the server lives, whether it should get requests, and how it is.
//!
//! `/health/live` looks at nothing: a process that answers is alive, and restarting
//! it would not mend a full disk. `/health/ready` and `/health` ask the check that
//! `app.rs` hands in, and answer 503 when a part is failing. `/health/ready` also does
//! so once the server was told to stop, so that a load balancer looks elsewhere.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use poem::http::StatusCode;
use poem::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use poem::{Endpoint, IntoEndpoint, Request, Response, Route, RouteMethod};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::caller::{caller_of, shows_something};
use super::openapi::{Terms, Who};
use super::permissions::Permission;

/// To see how the server is, part by part.
pub const SYSTEM_READ: Permission = Permission("system:read");

/// How a part is: fine, or why not. The reason is for the log, never for the client.
pub type Checked = (&'static str, Result<(), String>);

/// Looks at each part. Quick and without waiting: probes ask every few seconds.
pub type Check = dyn Fn() -> Vec<Checked> + Send + Sync;

/// What the health endpoints tell from.
pub struct Health {
    check: Box<Check>,
    stopping: CancellationToken,
    version: &'static str,
    started: Instant,
    /// Whether the last look found a failing part, so that a failure is logged once.
    failing: AtomicBool,
}

impl Health {
    pub fn new(version: &'static str, stopping: CancellationToken, check: Box<Check>) -> Self {
        Self { check, stopping, version, started: Instant::now(), failing: AtomicBool::new(false) }
    }

    /// The three paths, to be merged into the router.
    pub fn route(self, route: Route) -> Route {
        let health = Arc::new(self);
        route
            .at("/health", RouteMethod::new().get(overall(health.clone())))
            .at("/health/live", get(health.clone(), |_| answer(StatusCode::OK, &json!({ "status": "ok" }))))
            .at("/health/ready", get(health, Self::ready))
    }

    fn ready(&self) -> Response {
        if self.stopping.is_cancelled() {
            return answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "stopping" }));
        }
        let (status, word) = verdict(&self.look());
        answer(status, &json!({ "status": word }))
    }

    fn overall(&self, is_told: bool) -> Response {
        let checked = self.look();
        let (status, word) = verdict(&checked);
        if !is_told {
            return answer(status, &json!({ "status": word }));
        }
        let checks: Map<_, _> = checked.into_iter().map(|(name, it)| (name.to_owned(), word_for(it.is_ok()))).collect();
        let uptime_secs = self.started.elapsed().as_secs();
        answer(status, &json!({ "status": word, "version": self.version, "uptimeSecs": uptime_secs, "checks": checks }))
    }

    fn look(&self) -> Vec<Checked> {
        let checked = (self.check)();
        let is_failing = checked.iter().any(|(_, it)| it.is_err());
        if self.failing.swap(is_failing, Ordering::Relaxed) != is_failing {
            for (name, reason) in checked.iter().filter_map(|(name, it)| Some((name, it.as_ref().err()?))) {
                tracing::warn!(check = name, reason, "a part of the server is failing");
            }
            if !is_failing {
                tracing::info!("every part of the server is well again");
            }
        }
        checked
    }
}

/// The terms of the three paths.
pub const TERMS: &[Terms] = &[
    Terms { operation: "health", who: Who::Anyone, problems: &[] },
    Terms { operation: "health_live", who: Who::Anyone, problems: &[] },
    Terms { operation: "health_ready", who: Who::Anyone, problems: &[] },
];

/// The three paths in the words of OpenAPI, for the document: poem-openapi does not know them.
pub fn describe() -> Value {
    let operation = |id: &str, summary: &str, description: &str, statuses: &[(&str, Value)]| {
        let mut responses = json!({});
        for (status, example) in statuses {
            let schema = json!({ "$ref": "#/components/schemas/Health" });
            responses[*status] = json!({
                "description": if *status == "200" { "All is well." } else { "A part is failing, or the server is stopping; `status` says so." },
                "content": { "application/json": { "schema": schema, "example": example } },
            });
        }
        json!({ "get": {
            "operationId": id, "summary": summary, "description": description, "tags": ["System"], "responses": responses,
        } })
    };
    let whole = |status: &str, disk: &str| json!({ "status": status, "version": "0.1.0", "uptimeSecs": 12, "checks": { "database": "ok", "disk": disk } });
    let (well, failing) = (("200", whole("ok", "ok")), ("503", whole("failing", "failing")));
    let (ready, stopping) = (("200", json!({ "status": "ok" })), ("503", json!({ "status": "stopping" })));
    json!({
        "paths": {
            "/health": operation("health", "How the server is", "Who has the permission `system:read` sees the version and each part by name.", &[well, failing]),
            "/health/live": operation("health_live", "Whether the process lives", "Always 200 while it runs.", std::slice::from_ref(&ready)),
            "/health/ready": operation("health_ready", "Whether it should get requests", "For load balancers.", &[ready, stopping]),
        },
        "schemas": {
            "Health": {
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": { "type": "string", "enum": ["ok", "failing", "stopping"] },
                    "version": { "type": "string" },
                    "uptimeSecs": { "type": "integer", "format": "uint64" },
                    "checks": { "type": "object", "additionalProperties": { "type": "string", "enum": ["ok", "failing"] } },
                },
            },
        },
        "tag": { "name": "System", "description": "Whether the server is well." },
    })
}

impl std::fmt::Debug for Health {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Health").field("version", &self.version).finish_non_exhaustive()
    }
}

fn verdict(checked: &[Checked]) -> (StatusCode, &'static str) {
    if checked.iter().all(|(_, it)| it.is_ok()) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    }
}

fn word_for(is_ok: bool) -> Value {
    Value::from(if is_ok { "ok" } else { "failing" })
}

fn answer(status: StatusCode, body: &Value) -> Response {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .header(CACHE_CONTROL, "no-store")
        .body(body.to_string())
}

/// What the parts are, and which version runs, is told to those who may know.
fn overall(health: Arc<Health>) -> impl Endpoint {
    poem::endpoint::make(move |request: Request| {
        let health = Arc::clone(&health);
        async move {
            let is_stranger = !shows_something(&request);
            // A probe whose token has expired still learns whether the server is well.
            let is_told = !is_stranger && caller_of(&request).await.is_ok_and(|it| it.may(SYSTEM_READ));
            health.overall(is_told)
        }
    })
}

fn get(
    health: Arc<Health>,
    show: fn(&Health) -> Response,
) -> impl IntoEndpoint<Endpoint = impl Endpoint + use<>> + use<> {
    RouteMethod::new().get(poem::endpoint::make_sync(move |_| show(&health)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::base::TenantId;
    use crate::http::Caller;

    async fn ask(route: &Route, path: &'static str) -> (u16, Value) {
        ask_as(route, path, false).await
    }

    async fn ask_as(route: &Route, path: &'static str, as_operator: bool) -> (u16, Value) {
        let mut request = Request::builder().uri_str(path).finish();
        if as_operator {
            request.extensions_mut().insert(Caller::operator(TenantId::main()));
        }
        let response = route.get_response(request).await;
        let status = response.status().as_u16();
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.content_type(), Some("application/json"));
        (status, response.into_body().into_json().await.expect("JSON"))
    }

    fn route(disk_is_full: Arc<AtomicBool>) -> Route {
        route_until(CancellationToken::new(), disk_is_full)
    }

    fn route_until(stopping: CancellationToken, disk_is_full: Arc<AtomicBool>) -> Route {
        let check = move || {
            let disk = if disk_is_full.load(Ordering::Relaxed) { Err("/data is full".to_owned()) } else { Ok(()) };
            vec![("database", Ok(())), ("disk", disk)]
        };
        Health::new("1.2.3", stopping, Box::new(check)).route(Route::new())
    }

    /// Restarting a process does not empty a disk.
    #[tokio::test]
    async fn a_failing_part_makes_it_not_ready_but_leaves_it_alive() {
        let disk_is_full = Arc::new(AtomicBool::new(false));
        let route = route(disk_is_full.clone());
        assert_eq!(ask(&route, "/health/ready").await, (200, json!({ "status": "ok" })));

        disk_is_full.store(true, Ordering::Relaxed);

        assert_eq!(ask(&route, "/health/ready").await, (503, json!({ "status": "failing" })));
        assert_eq!(ask(&route, "/health/live").await, (200, json!({ "status": "ok" })));
    }

    /// What is under way is finished, so the process is neither dead nor failing.
    #[tokio::test]
    async fn a_server_that_was_told_to_stop_is_alive_and_not_ready() {
        let stopping = CancellationToken::new();
        let route = route_until(stopping.clone(), Arc::default());

        stopping.cancel();

        assert_eq!(ask(&route, "/health/ready").await, (503, json!({ "status": "stopping" })));
        assert_eq!(ask(&route, "/health/live").await.0, 200);
        assert_eq!(ask(&route, "/health").await.0, 200);
    }

    #[tokio::test]
    async fn the_overall_view_names_parts_but_not_reasons() {
        let route = route(Arc::new(AtomicBool::new(true)));

        assert_eq!(ask(&route, "/health").await, (503, json!({ "status": "failing" })), "strangers are not told more");
        let (status, body) = ask_as(&route, "/health", true).await;

        assert_eq!(status, 503);
        assert_eq!(body["version"], "1.2.3");
        assert_eq!(body["checks"], json!({ "database": "ok", "disk": "failing" }));
        assert!(body["uptimeSecs"].is_u64());
        assert!(!body.to_string().contains("full"));
    }
}
