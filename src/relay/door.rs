//! What clients ask of a relay, and what it answers.
use std::net::SocketAddr;
use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::error::NotFoundError;
use poem::http::StatusCode;
use poem::http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use poem::{Endpoint, EndpointExt, Request, Response, Route, RouteMethod};
use tokio_util::sync::CancellationToken;

use super::limits::RETRY_WITHOUT_LINK;
use super::link::Opened;
use super::protocol::{CLIENTS_PATH, Open, Refusal, text_to_value, value_to_text};
use super::{Relay, client};
use crate::http::accept_header::wanted_stream;
use crate::http::health::Health;
use crate::http::problem::{self, Problem};
use crate::http::request_id::X_REQUEST_ID;
use crate::http::websocket::{self, UPGRADE_REQUIRED, Upgrade};
use crate::http::{Policy, Reached, RequestId, address};

/// Headers that are about the connection to the relay, or are said in another way.
const NOT_HANDED_ON: [HeaderName; 13] = [
    CONNECTION,
    CONTENT_LENGTH,
    FORWARDED,
    HOST,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING,
    UPGRADE,
    X_REQUEST_ID,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// Everything that a relay answers.
pub(super) fn routes(relay: Relay, stopping: CancellationToken) -> BoxEndpoint<'static> {
    let looked_at = relay.clone();
    let check = move || {
        let link = if looked_at.link().is_some() { Ok(()) } else { Err("there is no link to the origin".to_owned()) };
        vec![("link", link)]
    };
    let health = Health::new(env!("CARGO_PKG_VERSION"), stopping, Box::new(check));
    let origin = relay.clone();
    health
        .route(Route::new())
        .at(CLIENTS_PATH, RouteMethod::new().get(listen(relay)))
        .catch_error(move |_: NotFoundError| {
            let detail = format!("this relay holds WebSockets alone; everything else is at {}", whole(&origin));
            async move { Problem::new(&problem::NOT_FOUND, detail).respond() }
        })
        .map_to_response()
        .boxed()
}

/// The address of the origin.
fn whole(relay: &Relay) -> String {
    let origin = &relay.0.settings.origin;
    let scheme = if origin.is_secret { "https" } else { "http" };
    format!("{scheme}://{}{}", origin.authority, origin.base)
}

fn listen(relay: Relay) -> impl Endpoint<Output = Response> {
    poem::endpoint::make(move |request: Request| {
        let relay = relay.clone();
        async move { Ok::<_, poem::Error>(let_in(&relay, &request).await?) }
    })
}

/// Has the origin decide whether somebody gets a WebSocket, and what they are told otherwise.
async fn let_in(relay: &Relay, request: &Request) -> Result<Response, Problem> {
    let Some(upgrade) = Upgrade::of(request)? else {
        if wanted_stream(request.headers()).is_some() {
            let detail = format!("this relay holds WebSockets alone; streams of events are at {}", whole(relay));
            return Err(Problem::new(&problem::NOT_FOUND, detail));
        }
        let refused = Problem::new(&UPGRADE_REQUIRED, "ask for a WebSocket (RFC 6455); this relay has nothing else");
        return Err(refused.with_header(UPGRADE, HeaderValue::from_static("websocket")));
    };
    if relay.0.stop.is_cancelled() {
        let stopping = Problem::new(&problem::STOPPING, "the relay is about to stop; try again");
        return Err(stopping.retry_after(RETRY_WITHOUT_LINK));
    }
    let lost = || {
        let lost = Problem::new(&problem::BUSY, "the relay has no link to the server; try again");
        lost.retry_after(RETRY_WITHOUT_LINK)
    };
    let link = relay.link().ok_or_else(lost)?;
    match link.open(open(request)?).await {
        Opened::Client(client) => {
            let config = websocket::config(link.welcome.message_bytes_max);
            let stop = relay.0.stop.clone();
            Ok(upgrade.answer(&relay.0.sockets, config, move |socket| client::serve(client, socket, stop)))
        }
        Opened::Refused(refusal) => Ok(answer(refusal)),
        Opened::TooLarge => {
            let detail = "the head of the request is larger than the link to the server takes";
            Err(Problem::new(&problem::HEAD_TOO_LARGE, detail))
        }
        Opened::Lost => Err(lost()),
    }
}

/// The request as the origin is told of it.
fn open(request: &Request) -> Result<Open, Problem> {
    let policy = request.extensions().get::<Arc<Policy>>();
    let trusted = policy.map_or(&[][..], |it| it.trusted_proxies.as_slice());
    let peer = request.remote_addr().as_socket_addr().map(SocketAddr::ip);
    let from = address::of(peer, request.headers(), trusted);
    let address = from.client.ok_or_else(Problem::not_found)?;
    let handed_on = request.headers().iter().filter(|(name, _)| !NOT_HANDED_ON.contains(name));
    let mut headers: Vec<_> =
        handed_on.map(|(name, value)| (name.to_string(), value_to_text(value.as_bytes()))).collect();
    if let Some(id) = request.extensions().get::<RequestId>() {
        headers.push((X_REQUEST_ID.to_string(), id.as_str().to_owned()));
    }
    Ok(Open {
        connection: 0,
        address,
        https: from.https,
        host: request.extensions().get::<Reached>().map(|it| it.host().to_owned()).unwrap_or_default(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers,
    })
}

/// The answer of the origin as that of the relay.
fn answer(refusal: Refusal) -> Response {
    let Refusal { status, headers, body, .. } = refusal;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = Response::builder().status(status).body(body);
    for (name, value) in headers {
        let value = text_to_value(&value).and_then(|it| HeaderValue::from_bytes(&it).ok());
        if let (Ok(name), Some(value)) = (name.parse::<HeaderName>(), value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
