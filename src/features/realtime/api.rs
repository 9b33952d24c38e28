//! The endpoints of live updates.
use std::sync::Arc;

use poem::http::StatusCode;
use poem::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use poem::{Body, IntoResponse, Request, Response};
use poem_openapi::param::{Header, Query};
use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiResponse, OpenApi};

use super::connection::Arrival;
use super::hub::{Hub, Seat};
use super::limits::{MESSAGE_BYTES_MAX, NAME_CHARS_MAX, SUBSCRIPTIONS_MAX};
use super::model::{
    ConnectionKind, LiveConnection, LiveRelay, REALTIME_READ, RELAYS_ADMIN, RealtimeState, RealtimeTotals,
};
use super::relays::{Line, Relay};
use super::resume::Replay;
use super::stream::Format;
use super::wire::Wire;
use super::{error, link, socket, stream};
use crate::features::accounts::RECORDS_READ;
use crate::features::records::Wanted;
use crate::http::accept_header::wanted_stream;
use crate::http::openapi::Tag;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::websocket::{self, Upgrade};
use crate::http::{Caller, ClientAddress, Entrance, Fault, Problem, RequestId, Visitor};
use crate::relay::protocol;

/// Connections that the state names.
const SHOWN_MAX: usize = 1_000;

/// The endpoints of live updates, with what they need.
#[derive(Clone, Debug)]
pub struct RealtimeApi {
    pub hub: Hub,
}

/// Another protocol, or a stream of events.
struct Live(Response);

#[OpenApi(prefix_path = "/api/v1")]
impl RealtimeApi {
    /// Listen to changes
    ///
    /// Over a WebSocket (`Upgrade: websocket`), where the client says what it wants to hear of, or as server-sent events
    /// (`Accept: text/event-stream`) or lines of JSON (`Accept: application/x-ndjson`) with `?subscribe=collections/posts`.
    /// The guide `/docs/realtime` has the protocols.
    /// Events are those that the rules `list` and `view` let the caller see.
    #[oai(path = "/realtime", method = "get", operation_id = "listen", tag = "Tag::Realtime")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn listen(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        request: &Request,
        /// What to hear of in a stream: `collections/posts`, or a record `collections/posts/<id>`. Several may
        /// be given.
        #[oai(name = "subscribe")]
        _subscribe: Query<Option<String>>,
        /// An expression that is true for the records to hear of; it belongs to the `subscribe` before it.
        #[oai(name = "filter")]
        _filter: Query<Option<String>>,
        /// Whether to hear only what changed of a record; it belongs to the `subscribe` before it. `false` if absent.
        #[oai(name = "delta")]
        _delta: Query<Option<String>>,
        /// The id of the last event that is known: what came after it follows first.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
    ) -> Result<Live, Problem> {
        let caller = visitor.0;
        caller.must_somewhere(RECORDS_READ)?;

        let request_id = request.extensions().get::<RequestId>().map(|it| it.as_str().to_owned()).unwrap_or_default();
        let since = self.hub.0.clock.now();
        let line = link::Carried::take(request);
        let voice = line.as_ref().map(|it| Arc::clone(&it.voice));
        let arrival = |kind| Arrival { kind, address, request_id, since, caller, voice };
        let asked = asked(request.uri().query().unwrap_or_default())?;
        let upgrade = if line.is_some() { None } else { Upgrade::of(request)? };
        if line.is_some() || upgrade.is_some() {
            if !asked.is_empty() {
                let detail = "is for streams; over a WebSocket, subscribe with a message";
                return Err(Problem::invalid(vec![Fault::new("?subscribe", "unknown", detail)]));
            }
            let seat = self.hub.open(arrival(ConnectionKind::Websocket))?;
            return Ok(Live(self.serve(seat, line, upgrade)));
        }
        let format = wanted_stream(request.headers()).and_then(Format::named).ok_or_else(error::upgrade_required)?;
        if asked.is_empty() {
            let detail = "must be given: `collections/<name>` or `collections/<name>/<id>`";
            return Err(Problem::invalid(vec![Fault::new("?subscribe", "required", detail)]));
        }
        let kind = match format {
            Format::ServerSentEvents => ConnectionKind::Sse,
            Format::Lines => ConnectionKind::Ndjson,
        };
        let seat = self.hub.open(arrival(kind))?;
        let body = begin(seat, asked, last_event_id.0.as_deref(), format).await?;
        let response = Response::builder()
            .header(CONTENT_TYPE, format.media_type())
            .header(CACHE_CONTROL, "no-store")
            // Proxies that gather answers would keep what is news.
            .header("x-accel-buffering", "no");
        Ok(Live(response.body(body)))
    }

    /// Join as a relay
    ///
    /// Over a WebSocket, for `steading relay`: a process that holds the live connections of clients elsewhere, and asks this
    /// server who they are and what they may hear. The guide `/docs/relays` has more.
    #[oai(path = "/realtime/relay", method = "get", operation_id = "join_relay", tag = "Tag::Realtime")]
    async fn join(
        &self,
        caller: Caller,
        address: ClientAddress,
        request: &Request,
        /// The version of what relay and server say to one another.
        #[oai(name = "version")]
        version: Query<Option<String>>,
        /// What the relay is called, for people: 1 to 64 characters.
        #[oai(name = "name")]
        name: Query<Option<String>>,
    ) -> Result<Live, Problem> {
        caller.must(RELAYS_ADMIN)?;
        must_be_among(request, &["version", "name"])?;

        let upgrade = Upgrade::of(request)?.ok_or_else(error::upgrade_required)?;
        let required = |name: &str| Problem::invalid(vec![Fault::new(name, "required", "must be given")]);
        let version = version.0.ok_or_else(|| required("?version"))?;
        if version != protocol::VERSION.to_string() {
            let version: String = version.chars().take(NAME_CHARS_MAX).collect();
            return Err(error::relay_version(&version, protocol::VERSION));
        }
        let name = name.0.ok_or_else(|| required("?name"))?;
        if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let detail = format!("must have 1 to {NAME_CHARS_MAX} characters, none of which controls anything");
            return Err(Problem::invalid(vec![Fault::new("?name", "length", detail)]));
        }
        // A request has one if it came over a connection of its own.
        let entrance = request.extensions().get::<Entrance>().cloned().ok_or_else(error::upgrade_required)?;
        let joined = link::Joined::new(&self.hub, name, address, caller)?;
        let serve = move |socket| link::serve(joined, entrance, socket);
        Ok(Live(upgrade.answer(&self.hub.0.sockets, link::config(), serve)))
    }

    /// See who listens
    ///
    /// Every live connection with its queue, and all together.
    #[oai(path = "/admin/realtime", method = "get", operation_id = "show_realtime", tag = "Tag::Realtime")]
    async fn show(&self, caller: Caller, _query: NoQuery) -> Result<Json<RealtimeState>, Problem> {
        caller.must(REALTIME_READ)?;

        let (all, (opened, sent, dropped)) = {
            let registry = self.hub.registry();
            (registry.all(), registry.history())
        };
        let count = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        let relays: Vec<Arc<Relay>> = self.hub.relays().all.values().cloned().collect();
        let relays = relays.iter().map(|it| {
            let (told, crossed, bytes) = it.outbox.counts();
            LiveRelay {
                id: it.id,
                name: it.name.clone(),
                address: it.address.0.map(|it| it.to_string()),
                since: it.since,
                connections: count(it.count()),
                told,
                crossed,
                bytes,
            }
        });
        let relays = relays.collect();
        let mut totals =
            RealtimeTotals { connections: count(all.len()), subscriptions: 0, waiting_bytes: 0, opened, sent, dropped };
        let mut connections = Vec::new();
        for it in all {
            let ((sent, dropped), (waiting, waiting_bytes), topics) = (it.counts(), it.waiting(), it.topics());
            totals.sent += sent;
            totals.dropped += dropped;
            totals.waiting_bytes += count(waiting_bytes);
            totals.subscriptions += count(topics.len());
            if connections.len() < SHOWN_MAX {
                connections.push(LiveConnection {
                    id: it.id,
                    kind: it.kind,
                    address: it.address.0.map(|it| it.to_string()),
                    user: it.caller().user_id(),
                    since: it.since,
                    subscriptions: topics.into_iter().map(|(_, topic)| topic).collect(),
                    waiting: count(waiting),
                    waiting_bytes: count(waiting_bytes),
                    sent,
                    dropped,
                    round_trip_ms: it.round_trip().map(|it| it.as_secs_f64() * 1_000.0),
                    relay: it.voice.as_ref().map(|it| it.relay()),
                });
            }
        }
        Ok(Json(RealtimeState { connections, relays, totals }))
    }
}

impl RealtimeApi {
    /// Has a client served that asked for a WebSocket, over its line or the socket that it gets.
    fn serve(&self, seat: Seat, line: Option<Line>, upgrade: Option<Upgrade>) -> Response {
        let sockets = &self.hub.0.sockets;
        if let Some(line) = line {
            line.opened();
            sockets.serve(socket::serve(seat, Wire::Line(line)));
        } else if let Some(upgrade) = upgrade {
            let serve = move |socket| socket::serve(seat, Wire::Socket(Box::new(socket)));
            return upgrade.answer(sockets, websocket::config(MESSAGE_BYTES_MAX), serve);
        }
        Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).finish()
    }
}

/// Subscribes to all that is asked for, or to none of it.
async fn begin(seat: Seat, asked: Vec<Wanted>, last_event_id: Option<&str>, format: Format) -> Result<Body, Problem> {
    for (number, wanted) in (1..).zip(asked) {
        socket::subscribe(&seat, number, wanted).await?;
    }
    let replay = match last_event_id.filter(|it| !it.is_empty()) {
        Some(id) => Some(Replay::begin(&seat, id).await?.1),
        None => None,
    };
    Ok(stream::body(seat, replay, format))
}

/// The subscriptions in a query.
fn asked(query: &str) -> Result<Vec<Wanted>, Problem> {
    let mut asked: Vec<Wanted> = Vec::new();
    let fault = |name: &str, code, detail: &str| {
        Err(Problem::invalid(vec![Fault::new(
            format!("?{}", name.chars().take(100).collect::<String>()),
            code,
            detail,
        )]))
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "subscribe" if SUBSCRIPTIONS_MAX <= asked.len() => {
                return Err(error::too_many_subscriptions(SUBSCRIPTIONS_MAX));
            }
            "subscribe" => asked.push(Wanted { topic: value.into_owned(), filter: None, delta: false }),
            "filter" => match asked.last_mut() {
                Some(Wanted { filter: filter @ None, .. }) => *filter = Some(value.into_owned()),
                Some(_) => return fault("filter", "duplicate", "is given more than once for one `subscribe`"),
                None => return fault("filter", "unknown", "belongs to the `subscribe` before it, and there is none"),
            },
            "delta" => match (asked.last_mut(), &*value) {
                (Some(last), "true" | "false") => last.delta = value == "true",
                (Some(_), _) => return fault("delta", "format", "must be `true` or `false`"),
                (None, _) => {
                    return fault("delta", "unknown", "belongs to the `subscribe` before it, and there is none");
                }
            },
            other => return fault(other, "unknown", "is no parameter; in a filter, encode & as %26"),
        }
    }
    Ok(asked)
}

impl IntoResponse for Live {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for Live {
    fn meta() -> MetaResponses {
        let text = MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
        let answer = |status, description, content| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content,
            headers: vec![],
        };
        let events = Format::ALL.map(|it| MetaMediaType { content_type: it.media_type(), schema: text.clone() });
        MetaResponses {
            responses: vec![
                answer(101, "A WebSocket follows.", vec![]),
                answer(200, "The events, for as long as the client listens.", events.into()),
            ],
        }
    }

    fn register(_registry: &mut Registry) {}
}
