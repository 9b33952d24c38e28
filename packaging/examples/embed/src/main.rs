//! Steading with one endpoint of its own: `GET /hello/people` counts the accounts.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::make;
use poem::{IntoResponse, Request};
use steading::App;
use steading::base::{Clock, Random, TenantId};
use steading::config::{Live, Sources, environment};
use steading::db::{Db, Error};
use steading::http::{Door, Problem, serve};
use steading::work::Lifecycle;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Live::load(Sources { environment: environment(), ..Sources::default() })?;
    let app = App::open(Path::new("data"), config, Clock::system(), Random::system()).await?;

    let db = app.db.clone();
    let people = make(move |_: Request| count_people(db.clone()));
    let shell = Arc::new(app.shell(app.routes()?.at("/hello/people", people)));

    let lifecycle = Lifecycle::new();
    app.start(&lifecycle);
    let listener = TcpListener::bind("127.0.0.1:8088").await?;
    println!("http://{}/hello/people", listener.local_addr()?);
    serve(vec![Door::Tcp(listener)], shell, lifecycle.stop_token(), Duration::from_secs(20)).await;
    app.close().await?;
    Ok(())
}

/// Failures become problems by themselves: a full queue is 503, not 500.
async fn count_people(db: Db) -> poem::Result<impl IntoResponse> {
    let count = db
        .read(&TenantId::main(), |tx| {
            let count = tx.find("SELECT count(*) FROM users", &[], |row| row.integer(0))?;
            Ok::<_, Error>(count.unwrap_or(0))
        })
        .await
        .map_err(Problem::from)?;
    Ok(format!("{count} people have an account here\n"))
}
