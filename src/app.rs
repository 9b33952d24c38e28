//! The composition root: opens, wires, and hands out parts. The only file that knows everything.
//!
//! A program of its own can be built around it: `App::open`, [`App::routes`] with more
//! routes of its own, and [`App::shell`] around both (see `packaging/examples/embed`).
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::header::{AUTHORIZATION, HeaderValue};
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Route};
use poem_openapi::{ContactObject, LicenseObject, OpenApiService};
use tokio_util::sync::CancellationToken;

use crate::base::lanes::{self, Asker};
use crate::base::text::chain;
use crate::base::{Clock, Random, TenantId};
use crate::bus::Bus;
use crate::config::Live;
use crate::db::{Db, Folder, Options};
use crate::features::accounts::{
    self, AccountMails, AccountsApi, ActivityApi, BlockedApi, DeviceTokens, FlowsApi, Gate, Hashing, HashingApi,
    ImpersonationApi, InvitationsApi, JudgeFields, OneTimeSecrets, Passwords, PeopleApi, PreferencesApi, ProfilesApi,
    Requests, SecondFactorApi, SecondFactors, SessionsApi, Stuffing, Tokens, UsersApi, UsersImportApi,
};
use crate::features::api_keys::{self, Keeping, KeyGate, KeysApi, OwnKeysApi, Usage, VerifyApi};
use crate::features::audit::{self, AuditApi, Refusals, Seal, Trail};
use crate::features::collections::{self, Catalogue, Catalogues, CollectionsApi, SchemaApi};
use crate::features::events::{self, EventLog};
use crate::features::explain::ExplainApi;
use crate::features::jobs::JobsApi;
use crate::features::mails::{
    self, MailReportsApi, MailSuppressionsApi, MailboxApi, Mails, MailsApi, References as MailReferences,
};
use crate::features::profiles::{self, ProfileFieldsApi};
use crate::features::realtime::{Hub, RealtimeApi};
use crate::features::records::{self, AggregatesApi, JsonSchemasApi, PurgesApi, RecordsApi, WritingApi};
use crate::features::roles::{Felt, RolesApi};
use crate::features::secrets::{self, SecretsApi, Vault};
use crate::features::server_keys::{self, Purpose};
use crate::features::signing_keys::{Rotating, SigningKeys, SigningKeysApi, WellKnownApi};
use crate::http::caller::{Authenticate, Credential, Presented, X_API_KEY};
use crate::http::health::Health;
use crate::http::log::Who;
use crate::http::openapi::{Documents, WeakDocuments};
use crate::http::paging::Cursors;
use crate::http::{ClientAddress, LivePolicy, Policy, Shell, cookie, etag, pages, swagger};
use crate::kv::{self, Kv};
use crate::mail::Postman;
use crate::work::queue::{self, Queue};
use crate::work::{Lifecycle, Pool, Worker};

/// How often settings that were reloaded reach the handling of requests.
const POLICY_INTERVAL: Duration = Duration::from_secs(1);

/// How long a password waits to be checked. Clients give up after half a minute, and should be told before.
const PASSWORD_WAIT_MAX: Duration = Duration::from_secs(20);

/// Most workers that wait for the disk at the same time: more than there are.
const BACKGROUND_QUEUE_MAX: usize = 16;
/// How long they wait: a disk that is that slow has worse to do.
const BACKGROUND_WAIT_MAX: Duration = Duration::from_secs(60);

/// Everything open and ready. Features get the parts they need, never this.
#[derive(Clone, Debug)]
pub struct App {
    pub config: Live,
    pub db: Db,
    pub kv: Kv,
    pub clock: Clock,
    pub random: Random,
    pub audit: AuditApi,
    pub accounts: AccountsApi,
    pub users: UsersApi,
    pub roles: RolesApi,
    pub keys: KeysApi,
    pub secrets: SecretsApi,
    pub explain: ExplainApi,
    /// What replaces the keys that sign access tokens.
    pub rotating: Rotating,
    pub collections: CollectionsApi,
    pub schema: SchemaApi,
    pub records: RecordsApi,
    pub purges: PurgesApi,
    /// Counts the requests of each account.
    pub requests: Requests,
    pub aggregates: AggregatesApi,
    pub realtime: RealtimeApi,
    pub jobs: JobsApi,
    pub mails: MailsApi,
    pub mailbox: MailboxApi,
    /// Cancelled when the server was told to stop, which is before it takes no more requests.
    pub stopping: CancellationToken,
    /// The endpoints of all features, these parts among them.
    apis: Apis,
    documents: Documents,
    policy: LivePolicy,
    /// Says when there are new jobs.
    job_bus: Bus,
    /// For what waits on a disk without being part of a request.
    background: Pool,
}

impl App {
    /// Opens a data folder, makes what is missing in it, and wires the features.
    pub async fn open(data: &Path, config: Live, clock: Clock, random: Random) -> anyhow::Result<Self> {
        let settings = config.get();
        let db = Db::open(Folder::take(data)?, Options::from(settings.storage.as_ref()), clock.clone())?;
        let kv = Kv::open(&data.join("cache.redb"), &clock);
        let wired = Self::wire(config, db.clone(), kv, clock, random).await;
        // A page that is damaged is found by whoever comes to it, and knows no file.
        wired.map_err(|cause| match db.damaged_file() {
            Some(file) => cause.context(format!("cannot use {}", file.display())),
            None => cause,
        })
    }

    /// An app whose data is gone with the process: for tests, and for looking at the API.
    pub async fn in_memory(config: Live, clock: Clock, random: Random) -> anyhow::Result<Self> {
        Self::wire(config, Db::in_memory()?, Kv::in_memory(), clock, random).await
    }

    async fn wire(config: Live, db: Db, kv: Kv, clock: Clock, random: Random) -> anyhow::Result<Self> {
        let settings = config.get();
        let bus = Bus::default();
        let job_bus = Bus::default();
        let (of_events, of_jobs) = (bus.clone(), job_bus.clone());
        db.after_commit(Box::new(move |tenant, news| {
            if news.events {
                of_events.tell(tenant);
            }
            if news.jobs {
                of_jobs.tell(tenant);
            }
        }));
        db.open_tenant(&TenantId::main(), clock.now()).await?;
        let signing_keys = SigningKeys::open(&db, &random, &clock).await?;
        let refresh = server_keys::load(&db, Purpose::RefreshToken, &random, &clock).await?;
        let cookie = server_keys::load(&db, Purpose::SessionCookie, &random, &clock).await?;
        let one_time = server_keys::load(&db, Purpose::OneTimeSecret, &random, &clock).await?;
        let second_factor = server_keys::load(&db, Purpose::SecondFactor, &random, &clock).await?;
        let device = server_keys::load(&db, Purpose::KnownDevice, &random, &clock).await?;
        let cursor = server_keys::load(&db, Purpose::Cursor, &random, &clock).await?;
        let tokens = Arc::new(Tokens::new(signing_keys.clone(), &refresh, &cookie));
        let rotating = Rotating { db: db.clone(), clock: clock.clone(), random: random.clone(), keys: signing_keys };
        let threads = match settings.accounts.hash_threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            set => set,
        };
        let pool = Pool::start("passwords", threads, settings.accounts.hash_queue_max, PASSWORD_WAIT_MAX)?;
        let postman = Postman::new(config.view(|it| &it.mail), config.view(|it| &it.server));
        let reference = server_keys::load(&db, Purpose::MailReference, &random, &clock).await?;
        let mails = MailsApi {
            mails: Mails {
                db: db.clone(),
                clock: clock.clone(),
                random: random.clone(),
                postman,
                references: Arc::new(MailReferences::new(&reference)),
            },
            random: random.clone(),
        };
        let mailbox = MailboxApi { db: db.clone(), clock: clock.clone(), cursors: Cursors::new(cursor.reveal()) };
        let passwords = Passwords::new(pool, config.view(|it| &it.accounts), random.clone());
        let hashing = Hashing {
            db: db.clone(),
            clock: clock.clone(),
            config: config.view(|it| &it.accounts),
            passwords: passwords.clone(),
        };
        hashing.take_up(&TenantId::main()).await?;
        let accounts = AccountsApi {
            db: db.clone(),
            kv: kv.clone(),
            clock: clock.clone(),
            random: random.clone(),
            config: config.view(|it| &it.accounts),
            server: config.view(|it| &it.server),
            passwords,
            hashing,
            stuffing: Stuffing::new(&random),
            gate: Gate::new(db.clone(), clock.clone(), config.view(|it| &it.accounts), Arc::clone(&tokens)),
            tokens,
            cursors: Cursors::new(cursor.reveal()),
            mails: mails.mails.clone(),
            one_time: Arc::new(OneTimeSecrets::new(&one_time)),
            device_tokens: Arc::new(DeviceTokens::new(&device)),
            second_factors: Arc::new(SecondFactors::new(&second_factor)),
        };
        let seal = Seal::new(&server_keys::load(&db, Purpose::Audit, &random, &clock).await?)?;
        let stopping = CancellationToken::new();
        let audit = AuditApi {
            db: db.clone(),
            clock: clock.clone(),
            cursors: Cursors::new(cursor.reveal()),
            seal,
            still_stands: api_keys::still_stands,
            running: audit::Running::default(),
            stopping: stopping.clone(),
        };
        let users = UsersApi {
            db: db.clone(),
            clock: clock.clone(),
            gate: accounts.gate.clone(),
            fields: JudgeFields(Arc::new(profiles::judge)),
        };
        let gate = accounts.gate.clone();
        let felt = Felt(Arc::new(move |role| gate.forget_role(role)));
        let roles = RolesApi { db: db.clone(), clock: clock.clone(), felt };
        let usage = Usage::default();
        let keys = KeysApi {
            keeping: Keeping {
                db: db.clone(),
                clock: clock.clone(),
                random: random.clone(),
                gate: KeyGate::new(db.clone(), kv.clone(), clock.clone(), accounts.gate.clone(), &usage),
                usage,
            },
            cursors: Cursors::new(cursor.reveal()),
        };
        let vault = Vault {
            db: db.clone(),
            clock: clock.clone(),
            random: random.clone(),
            config: config.view(|it| &it.secrets),
        };
        let secrets = SecretsApi { vault: vault.clone(), accounts: accounts.clone() };
        let policy = Policy::from(settings.as_ref()).live();
        let background = Pool::start("background", 1, BACKGROUND_QUEUE_MAX, BACKGROUND_WAIT_MAX)?;
        let catalogues = Catalogues::new(db.clone(), profiles::of_callers);
        let collections = CollectionsApi {
            db: db.clone(),
            clock: clock.clone(),
            random: random.clone(),
            catalogues: catalogues.clone(),
            config: config.view(|it| &it.schema),
        };
        let schema = SchemaApi { collections: collections.clone(), cursors: Cursors::new(cursor.reveal()) };
        let records = RecordsApi {
            db: db.clone(),
            clock: clock.clone(),
            random: random.clone(),
            catalogues: catalogues.clone(),
            cursors: Cursors::new(cursor.reveal()),
            exports: records::Running::default(),
        };
        let explain = ExplainApi {
            gate: accounts.gate.clone(),
            keys: keys.keeping.gate.clone(),
            records: records.clone(),
            documents: Arc::default(),
        };
        let aggregates = AggregatesApi { db: db.clone(), clock: clock.clone(), catalogues: catalogues.clone() };
        let log = EventLog::open(&db, &TenantId::main(), &bus, &clock).await?;
        let hub = Hub::new(
            log,
            catalogues.clone(),
            accounts.gate.clone(),
            clock.clone(),
            config.view(|it| &it.realtime),
            stopping.clone(),
        );
        let realtime = RealtimeApi { hub };
        let account_mails = AccountMails {
            db: db.clone(),
            clock: clock.clone(),
            random: random.clone(),
            config: config.view(|it| &it.accounts),
            server: config.view(|it| &it.server),
            mails: mails.mails.clone(),
            one_time: Arc::clone(&accounts.one_time),
        };
        let kinds = vec![account_mails.kind(), secrets::kind(vault), rotating.clone().kind()];
        let queue = Queue::new(db.clone(), clock.clone(), TenantId::main(), kinds);
        let jobs = JobsApi { db: db.clone(), clock: clock.clone(), queue, cursors: Cursors::new(cursor.reveal()) };
        let purges = PurgesApi { records: records.clone(), config: config.view(|it| &it.accounts) };
        let writing = of_records(&records, &purges);
        let apis = (
            (
                (audit.clone(), of_accounts(&accounts)),
                of_people(&accounts, &users),
                (roles.clone(), explain.clone()),
                (of_keys(&keys, &accounts), secrets.clone()),
                (SigningKeysApi { rotating: rotating.clone() }, well_known(&config, &rotating)),
            ),
            (collections.clone(), schema.clone(), profile_fields(&users, &collections)),
            records.clone(),
            aggregates.clone(),
            writing,
            (realtime.clone(), jobs.clone(), of_mails(&mails, &mailbox)),
        );
        let described = apis.clone();
        let documents = Documents::new(move || service(described).spec(), crate::features::told());
        let _ = explain.documents.set(documents.downgrade());
        // Permissions for one collection follow its name.
        let gate = accounts.gate.clone();
        catalogues.tell(Box::new(move |_, _| gate.forget_all()));
        describe_collections(&catalogues, documents.downgrade()).await?;
        Ok(Self {
            config,
            db,
            kv,
            clock,
            random,
            audit,
            accounts,
            users,
            roles,
            keys,
            secrets,
            explain,
            rotating,
            collections,
            schema,
            records,
            purges,
            requests: Requests::default(),
            aggregates,
            realtime,
            jobs,
            mails,
            mailbox,
            stopping,
            apis,
            documents,
            policy,
            job_bus,
            background,
        })
    }

    /// The one list of everything that runs beside requests.
    pub fn start(&self, lifecycle: &Lifecycle) {
        self.start_audit(lifecycle);
        lifecycle.start(accounts::worker(self.db.clone(), self.clock.clone(), TenantId::main()));
        lifecycle.start(self.accounts.hashing.clone().worker(TenantId::main()));
        let settings = self.config.view(|it| &it.accounts);
        let every = move || settings.get().signing_key_lifetime();
        lifecycle.start(self.rotating.clone().worker(TenantId::main(), every));
        lifecycle.start(mails::worker(self.db.clone(), self.clock.clone(), TenantId::main()));
        lifecycle.start(queue::worker(self.db.clone(), self.clock.clone(), TenantId::main()));
        let news = self.job_bus.listen(&TenantId::main());
        lifecycle.task("jobs.run", self.jobs.queue.clone().run(news, lifecycle.stop_token()));
        let usage = self.keys.keeping.usage.clone();
        lifecycle.start(api_keys::worker(usage, self.db.clone(), self.clock.clone(), TenantId::main()));
        let requests = self.requests.clone();
        lifecycle.start(accounts::usage_worker(requests, self.db.clone(), TenantId::main()));
        lifecycle.start(records::worker(self.records.clone(), TenantId::main()));
        lifecycle.start(records::people_worker(self.purges.clone(), TenantId::main()));
        let settings = self.config.view(|it| &it.realtime);
        let keep = move || {
            let settings = settings.get();
            events::Keep { time: settings.keep_time(), bytes: settings.keep_bytes_max }
        };
        lifecycle.start(events::worker(self.db.clone(), self.clock.clone(), TenantId::main(), keep));
        lifecycle.task("realtime.deliver", self.realtime.hub.clone().run(lifecycle.stop_token()));
        // Whoever is told to stop at once is stopping too.
        let (stop, stopping) = (lifecycle.stop_token(), self.stopping.clone());
        lifecycle.task("stopping", async move {
            stop.cancelled().await;
            stopping.cancel();
        });
        lifecycle.start(self.flush_worker());
        lifecycle.start(self.policy_worker());
    }

    fn start_audit(&self, lifecycle: &Lifecycle) {
        let (settings, seal) = (self.config.view(|it| &it.audit), self.audit.seal.clone());
        let keep = move || {
            let settings = settings.get();
            audit::Keep { time: settings.keep_time(), bytes: settings.keep_bytes_max }
        };
        let (db, clock) = (self.db.clone(), self.clock.clone());
        lifecycle.start(audit::checkpoint_worker(db.clone(), clock.clone(), seal.clone(), TenantId::main()));
        lifecycle.start(audit::worker(db, clock, seal, TenantId::main(), keep));
    }

    fn flush_worker(&self) -> Worker {
        let app = self.clone();
        let hurry = app.kv.hurried();
        let flush = Worker::every("kv.flush", kv::FLUSH_INTERVAL, move || {
            let (kv, now, pool) = (app.kv.clone(), app.clock.now(), app.background.clone());
            async move { pool.run(move || kv.flush(now)).await.unwrap_or(Ok(())) }
        });
        flush.hurried_by(hurry)
    }

    /// Brings reloaded settings to the handling of requests.
    fn policy_worker(&self) -> Worker {
        let (config, live) = (self.config.clone(), Arc::clone(&self.policy));
        let mut seen = config.get();
        Worker::every("http.policy", POLICY_INTERVAL, move || {
            let settings = config.get();
            if !Arc::ptr_eq(&settings, &seen) {
                live.store(Arc::new(Policy::from(settings.as_ref())));
                seen = settings;
            }
            async { Ok::<(), std::convert::Infallible>(()) }
        })
    }

    /// Writes what was kept back for speed. Called once, when nothing is served any more.
    pub async fn close(&self) -> Result<(), kv::Error> {
        let (main, now) = (TenantId::main(), self.clock.now());
        let of_keys = self.keys.keeping.usage.flush(&self.db, &main, now).await;
        let of_people = self.requests.flush(&self.db, &main).await;
        if let Err(cause) = of_keys.and(of_people) {
            tracing::warn!(cause = %chain(&cause), "what keys and people used in the last seconds is not counted");
        }
        self.kv.flush(now)
    }

    /// Every route of the product.
    pub fn routes(&self) -> anyhow::Result<Route> {
        let service = service(self.apis.clone());
        let kinds = crate::features::problems();
        let (db, room) = (self.db.clone(), self.db.clone());
        let check = move || {
            let database = if db.is_sound() { Ok(()) } else { Err("a database file is damaged".to_owned()) };
            let disk = if room.has_room() { Ok(()) } else { Err("the disk is nearly full".to_owned()) };
            vec![("database", database), ("disk", disk)]
        };
        let health = Health::new(env!("CARGO_PKG_VERSION"), self.stopping.clone(), Box::new(check));
        let route = self.documents.route(health.route(Route::new()));
        let route = swagger::route(route);
        let route = pages::route(route, kinds)?;
        let route = accounts::pages::route(route, &self.config.get().accounts)?;
        let (usage, requests, clock) = (self.keys.keeping.usage.clone(), self.requests.clone(), self.clock.clone());
        let refusals = Refusals { db: self.db.clone(), kv: self.kv.clone(), clock: self.clock.clone() };
        let service = service.around(move |endpoint, request| {
            let (usage, requests, clock) = (usage.clone(), requests.clone(), clock.clone());
            let (refusals, trail) = (refusals.clone(), Trail::left_by(&request));
            async move {
                let known = etag::known(request.method(), request.headers());
                let who = request.extensions().get::<Who>().cloned();
                let mut answer = endpoint.call(request).await.map(IntoResponse::into_response);
                // Who acts as somebody else uses the server themselves.
                let is_own = who.as_ref().and_then(Who::caller).is_none_or(|it| it.impersonator().is_none());
                if let Some(user) = who.as_ref().and_then(Who::user).filter(|_| is_own) {
                    requests.note(user);
                }
                if let Some(caller) = who.as_ref().and_then(Who::caller) {
                    refusals.look_at(&trail, caller, &answer).await;
                }
                if let Some(key) = who.as_ref().and_then(Who::key) {
                    api_keys::account_for(&usage, key, &mut answer, clock.now());
                }
                Ok(etag::finish(answer?, known.as_deref()).await)
            }
        });
        let well_known = OpenApiService::new(well_known(&self.config, &self.rotating), "Steading", "");
        Ok(route.nest_no_strip("/api/v1", service).nest_no_strip("/.well-known", well_known))
    }

    /// The shell around `routes`: what every request goes through before and after its feature.
    pub fn shell(&self, routes: Route) -> Shell {
        let gate = self.accounts.gate.clone();
        let keys = self.keys.keeping.gate.clone();
        let authenticate: Arc<Authenticate> = Arc::new(move |presented| {
            let (gate, keys) = (gate.clone(), keys.clone());
            Box::pin(async move {
                let Presented { tenant, credential, address, is_read } = presented;
                match credential {
                    Credential::Nothing => Ok((gate.stranger(&tenant).await?, Vec::new())),
                    Credential::Token(token) => Ok((gate.caller(&tenant, &token).await?, Vec::new())),
                    Credential::Cookie(cookie) => Ok((gate.caller_of_cookie(&tenant, &cookie).await?, Vec::new())),
                    Credential::Key(key) => Ok(keys.caller(&tenant, &key, address, is_read).await?),
                }
            })
        });
        // Reads and passwords take turns by who asks, and from where: many of one client's leave time for those of others. Whose
        // token is none reads nothing, and passwords take turns by place, so that nobody gets more turns by making some up.
        let lanes = RandomState::new();
        let routes = routes.around(move |endpoint, request| {
            let client = request.extensions().get::<ClientAddress>();
            let place = lanes.hash_one(client.and_then(|it| it.neighbourhood_key()));
            let who = lanes.hash_one((client.and_then(|it| it.throttle_key()), shown(&request)));
            let asker = Asker { place, who };
            async move { lanes::on_behalf_of(asker, endpoint.call(request)).await }
        });
        let router: BoxEndpoint<'static> = routes.data(authenticate).map_to_response().boxed();
        Shell::new(router, Arc::clone(&self.policy), self.clock.clone(), self.random.clone())
            .described_by(self.documents.clone())
    }
}

/// What a request shows of who asks, wherever that stands.
fn shown(request: &Request) -> (Option<&HeaderValue>, Option<&HeaderValue>, Option<&str>) {
    let headers = request.headers();
    (headers.get(AUTHORIZATION), headers.get(X_API_KEY), cookie::mark(request))
}

/// The endpoints of keys, which share their parts.
fn of_keys(keys: &KeysApi, accounts: &AccountsApi) -> (KeysApi, OwnKeysApi, VerifyApi) {
    let keeping = keys.keeping.clone();
    (keys.clone(), OwnKeysApi { keeping: keeping.clone(), accounts: accounts.clone() }, VerifyApi { keeping })
}

/// Keeps the OpenAPI document as the collections are: now, and after each of their changes.
async fn describe_collections(catalogues: &Catalogues, documents: WeakDocuments) -> Result<(), collections::Error> {
    catalogues.tell(Box::new(move |tenant: &TenantId, catalogue: &Arc<Catalogue>| {
        if *tenant == TenantId::main()
            && let Some(documents) = documents.upgrade()
        {
            let catalogue = Arc::clone(catalogue);
            documents
                .set_added(catalogue.generation, Box::new(move |audience| records::describe(&catalogue, audience)));
        }
    }));
    catalogues.current(&TenantId::main()).await.map(drop)
}

/// The endpoints of all features.
type Apis = (
    (
        (AuditApi, OfAccounts),
        (UsersApi, ProfilesApi, PeopleApi, PreferencesApi, ActivityApi),
        (RolesApi, ExplainApi),
        ((KeysApi, OwnKeysApi, VerifyApi), SecretsApi),
        (SigningKeysApi, WellKnownApi),
    ),
    (CollectionsApi, SchemaApi, ProfileFieldsApi),
    RecordsApi,
    AggregatesApi,
    (WritingApi, JsonSchemasApi, PurgesApi),
    (RealtimeApi, JobsApi, OfMails),
);

type OfMails = (MailsApi, MailboxApi, MailSuppressionsApi, MailReportsApi);

type OfAccounts = (
    (AccountsApi, FlowsApi, SecondFactorApi, SessionsApi),
    (BlockedApi, InvitationsApi, ImpersonationApi, HashingApi, UsersImportApi),
);

/// The endpoints of accounts, which share their parts.
fn of_accounts(accounts: &AccountsApi) -> OfAccounts {
    let own = || accounts.clone();
    (
        (own(), FlowsApi { accounts: own() }, SecondFactorApi { accounts: own() }, SessionsApi { accounts: own() }),
        (
            BlockedApi { accounts: own() },
            InvitationsApi { accounts: own() },
            ImpersonationApi { accounts: own() },
            HashingApi { hashing: accounts.hashing.clone() },
            UsersImportApi { accounts: own(), still_stands: api_keys::still_stands },
        ),
    )
}

/// The endpoints of people as others see them, and of what may be changed of them.
fn of_people(
    accounts: &AccountsApi,
    users: &UsersApi,
) -> (UsersApi, ProfilesApi, PeopleApi, PreferencesApi, ActivityApi) {
    (
        users.clone(),
        ProfilesApi { users: users.clone(), second_factors: SecondFactorApi { accounts: accounts.clone() } },
        PeopleApi { accounts: accounts.clone() },
        PreferencesApi { accounts: accounts.clone() },
        ActivityApi { accounts: accounts.clone() },
    )
}

/// The endpoints of mails: of what they say, where they land, and to whom they do not go.
fn of_mails(mails: &MailsApi, mailbox: &MailboxApi) -> OfMails {
    let suppressions = MailSuppressionsApi { mails: mails.mails.clone(), cursors: mailbox.cursors.clone() };
    (mails.clone(), mailbox.clone(), suppressions, MailReportsApi { mails: mails.mails.clone() })
}

fn profile_fields(users: &UsersApi, collections: &CollectionsApi) -> ProfileFieldsApi {
    let catalogues = collections.catalogues.clone();
    ProfileFieldsApi { db: users.db.clone(), clock: users.clock.clone(), catalogues }
}

/// The endpoints of records that stand beside those of reading and writing one.
fn of_records(records: &RecordsApi, purges: &PurgesApi) -> (WritingApi, JsonSchemasApi, PurgesApi) {
    (WritingApi { records: records.clone() }, JsonSchemasApi { records: records.clone() }, purges.clone())
}

fn well_known(config: &Live, rotating: &Rotating) -> WellKnownApi {
    let (clock, keys) = (rotating.clock.clone(), rotating.keys.clone());
    WellKnownApi { clock, server: config.view(|it| &it.server), keys }
}

fn service(apis: Apis) -> OpenApiService<Apis, ()> {
    OpenApiService::new(apis, "Steading", env!("CARGO_PKG_VERSION"))
        .description(include_str!("../assets/api.md"))
        .contact(ContactObject::new().name("Whoever runs this server"))
        .license(LicenseObject::new(env!("CARGO_PKG_LICENSE")))
}
