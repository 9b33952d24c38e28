//! What the guides say is what the server does: every example in them is run.
//!
//! - An `http` fence is a request; one that begins with a status is the answer to the request before it. A request
//!   whose answer is not shown succeeds. In an answer `…` stands for what is left out, and all else must be there.
//! - `$ADA` is an admin's token, `$GRACE` and `$ALAN` are those of users, `$ADA_ID` and so on their ids. Another such
//!   name is given a value by the first answer that has it.
//! - A `websocket` fence is a conversation over one WebSocket that stays open: `>` is said, `<` is heard. One that is
//!   marked `again` has a new one.
//! - A `cel` fence says what it is for: `cel posts update`, or `cel posts filter`.
//! - In a table, each code under a heading that ends in "for `posts`" is an expression that `posts` takes. Under one
//!   that ends in "of `posts`" it is asked of the only record there is, and the next column says what comes out.
//!   Under "as a field" it is a field that a collection takes.
use std::collections::BTreeMap;
use std::path::Path;

use poem::http::{Method, StatusCode};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use serde_json::{Value, json};

use crate::support::live::{Socket, serve_app};
use crate::support::{PASSWORD, Reply, TestApp};
use steading::work::Lifecycle;

/// Something in a guide that can be tried.
#[derive(Debug)]
enum Example {
    Fence { language: String, text: String },
    Table { heads: Vec<Cell>, rows: Vec<Vec<Cell>> },
}

#[derive(Debug, Default)]
struct Cell {
    text: String,
    codes: Vec<String>,
}

/// What is wrong, and on which line.
type Lie = String;

fn examples(guide: &str) -> Vec<(usize, Example)> {
    let mut found = Vec::new();
    let (mut fence, mut table, mut cell) = (None, None, Cell::default());
    for (event, at) in Parser::new_ext(guide, Options::ENABLE_TABLES).into_offset_iter() {
        let line = guide[..at.start].matches('\n').count() + 1;
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                fence = Some((language.to_string(), String::new()));
            }
            Event::Text(text) => match &mut fence {
                Some((_, whole)) => whole.push_str(&text),
                None => cell.text.push_str(&text),
            },
            Event::Code(code) => {
                cell.text.push_str(&code);
                cell.codes.push(code.to_string());
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((language, text)) = fence.take() {
                    found.push((line, Example::Fence { language, text }));
                }
            }
            Event::Start(Tag::Table(_)) => table = Some((Vec::new(), Vec::new(), Vec::new())),
            Event::Start(Tag::TableCell) => cell = Cell::default(),
            Event::End(TagEnd::TableCell) => {
                if let Some((_, _, row)) = &mut table {
                    row.push(std::mem::take(&mut cell));
                }
            }
            Event::End(TagEnd::TableHead) => {
                if let Some((heads, _, row)) = &mut table {
                    *heads = std::mem::take(row);
                }
            }
            Event::End(TagEnd::TableRow) => {
                if let Some((_, rows, row)) = &mut table {
                    rows.push(std::mem::take(row));
                }
            }
            Event::End(TagEnd::Table) => {
                if let Some((heads, rows, _)) = table.take() {
                    found.push((line, Example::Table { heads, rows }));
                }
            }
            _ => {}
        }
    }
    found
}

/// Someone who works through a guide.
struct Reader {
    app: TestApp,
    names: BTreeMap<String, String>,
    /// The last request whose answer was not looked at yet.
    last: Option<(usize, Reply)>,
    tried: usize,
    /// Where the app listens, if it had to.
    server: Option<(String, Lifecycle)>,
    socket: Option<Socket>,
}

impl Reader {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let mut names = BTreeMap::new();
        for (name, role) in [("ada", "admin"), ("grace", "user"), ("alan", "user")] {
            let email = format!("{name}@example.com");
            let person = json!({ "email": email, "password": PASSWORD, "role": role, "name": name });
            app.operator(Method::POST, "/api/v1/admin/users").json(&person).send().await;
            let reply = app.login(&email, PASSWORD).await;
            names.insert(name.to_uppercase(), reply.str("accessToken"));
            let id = reply.body["user"]["id"].as_str().expect("an id").to_owned();
            names.insert(format!("{}_ID", name.to_uppercase()), id);
        }
        Self { app, names, last: None, tried: 0, server: None, socket: None }
    }

    async fn read(&mut self, guide: &str) -> Result<(), Lie> {
        for (line, example) in examples(guide) {
            let outcome = match &example {
                Example::Fence { language, text } => match language.split(' ').collect::<Vec<_>>().as_slice() {
                    ["http"] if text.starts_with(|it: char| it.is_ascii_digit()) => self.answer(text),
                    ["http"] => match self.nothing_is_left() {
                        Ok(()) => self.request(line, text).await,
                        lie => lie,
                    },
                    ["websocket", again @ ..] => match self.nothing_is_left() {
                        Ok(()) => self.converse(text, again == ["again"]).await,
                        lie => lie,
                    },
                    ["cel", collection, "filter"] => self.filter(collection, text).await.map(drop),
                    ["cel", collection, rule] => self.rule(collection, rule, &json!(text.trim())).await,
                    ["cel", ..] => Err("a `cel` fence says what it is for: `cel posts update`".to_owned()),
                    _ => Ok(()),
                },
                Example::Table { heads, rows } => self.table(heads, rows).await,
            };
            outcome.map_err(|lie| format!("line {line}: {lie}"))?;
        }
        self.nothing_is_left()
    }

    /// Works through a guide that makes `posts`, as if nothing had been before.
    async fn again(&mut self, guide: &str, names: &BTreeMap<String, String>) -> Result<(), Lie> {
        self.app.operator(Method::DELETE, "/api/v1/collections/posts").send().await;
        self.names.clone_from(names);
        self.last = None;
        self.read(guide).await
    }

    /// Sends a request, whose answer may follow.
    async fn request(&mut self, line: usize, text: &str) -> Result<(), Lie> {
        let text = self.filled(text)?;
        let (head, body) = text.split_once("\n\n").unwrap_or((text.as_str(), ""));
        let mut lines = head.lines();
        let (method, path) = lines.next().and_then(|it| it.split_once(' ')).ok_or("a request is `GET /path`")?;
        let method: Method = method.parse().map_err(|_| format!("there is no method `{method}`"))?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut headers = Vec::new();
        let mut is_asked = false;
        for line in lines {
            match line.trim().strip_prefix(['?', '&']) {
                Some(parameter) => {
                    let (name, value) = parameter.split_once('=').ok_or("a parameter is `name=value`")?;
                    query.append_pair(name, value);
                    is_asked = true;
                }
                None => headers.push(line.split_once(": ").ok_or("a header is `Name: value`")?),
            }
        }
        let path = if is_asked { format!("{path}?{}", query.finish()) } else { path.to_owned() };
        let mut ask = self.app.ask(method, &path);
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
            headers.push(("Content-Type", "application/json"));
        }
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        self.last = Some((line, ask.raw(body).send().await));
        self.tried += 1;
        Ok(())
    }

    /// Says what stands after `>` over one WebSocket, and holds what stands after `<` against what is heard.
    async fn converse(&mut self, text: &str, again: bool) -> Result<(), Lie> {
        let server = self.server.get_or_insert_with(|| serve_app(&self.app));
        let mut socket = match self.socket.take().filter(|_| !again) {
            Some(socket) => socket,
            None => Socket::open(&server.0, None).await.map_err(|it| it.to_string())?,
        };
        for line in text.lines().filter(|it| !it.is_empty()) {
            self.tried += 1;
            match line.split_at_checked(2) {
                Some(("> ", said)) => {
                    let said = self.filled(said)?;
                    let said = serde_json::from_str(&said).map_err(|it| format!("{it} in {said}"))?;
                    socket.say(&said).await;
                }
                Some(("< ", shown)) => {
                    let came = socket.hear().await;
                    let shown = relaxed(shown).map_err(|it| format!("{it} in {shown}"))?;
                    self.is(&shown, &came, "").map_err(|lie| format!("{lie}; it is {came}"))?;
                }
                _ => return Err(format!("a line begins with `> ` or `< `: {line}")),
            }
        }
        self.socket = Some(socket);
        Ok(())
    }

    /// Holds an answer as it is shown against the one that came.
    fn answer(&mut self, text: &str) -> Result<(), Lie> {
        let (_, reply) = self.last.take().ok_or("there is no request before this answer")?;
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let shown = lines.next().unwrap_or_default().trim();
        let status = StatusCode::from_u16(reply.status).unwrap_or_default();
        let came = format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or_default());
        if shown != came {
            return Err(format!("the guide says `{shown}`, and it is `{came}`: {}", reply.text));
        }
        let body = body.trim();
        let is_csv = reply.content_type().starts_with("text/csv");
        if is_csv {
            let body = self.filled(body)?;
            let same = body.lines().count() == reply.text.lines().count()
                && body.lines().zip(reply.text.lines()).all(|(shown, came)| text_is(shown, came));
            return if same { Ok(()) } else { Err(format!("the file is\n{}", reply.text)) };
        }
        let parts: Vec<_> =
            if reply.content_type() == "application/x-ndjson" { body.lines().collect() } else { vec![body] };
        let whole = [reply.text.as_str()];
        let came: Vec<_> =
            if reply.content_type() == "application/x-ndjson" { reply.text.lines().collect() } else { whole.to_vec() };
        if parts.len() != came.len() && !body.is_empty() {
            return Err(format!("the guide shows {} lines, and these came:\n{}", parts.len(), reply.text));
        }
        for (shown, came) in parts.into_iter().zip(came).filter(|(it, _)| !it.is_empty()) {
            let shown = relaxed(shown).map_err(|it| format!("{it} in {shown}"))?;
            let came: Value = serde_json::from_str(came).map_err(|_| format!("no JSON came: {came}"))?;
            self.is(&shown, &came, "").map_err(|lie| format!("{lie}; it is {came}"))?;
        }
        for line in lines {
            let (name, shown) = line.split_once(": ").ok_or("a header is `Name: value`")?;
            let shown = self.filled(shown)?;
            let came = reply.header(name).unwrap_or_default();
            if !text_is(&shown, came) {
                return Err(format!("the guide says `{name}: {shown}`, and it is `{came}`"));
            }
        }
        Ok(())
    }

    /// A request whose answer was not shown must have succeeded.
    fn nothing_is_left(&mut self) -> Result<(), Lie> {
        match self.last.take() {
            Some((line, reply)) if !(200..300).contains(&reply.status) => {
                Err(format!("the request of line {line} fails: {} {}", reply.status, reply.text))
            }
            _ => Ok(()),
        }
    }

    async fn rule(&mut self, collection: &str, rule: &str, text: &Value) -> Result<(), Lie> {
        self.tried += 1;
        let path = format!("/api/v1/collections/{collection}/preview");
        let reply = self.app.operator(Method::POST, &path).json(&json!({ "rules": { rule: text } })).send().await;
        if reply.status == 200 { Ok(()) } else { Err(format!("{text}: {}", reply.text)) }
    }

    /// How many records a filter finds.
    async fn filter(&mut self, collection: &str, text: &str) -> Result<usize, Lie> {
        self.tried += 1;
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("filter", text.trim()).finish();
        let path = format!("/api/v1/collections/{collection}/records?{query}");
        let reply = self.app.ask(Method::GET, &path).bearer(&self.names["ADA"]).send().await;
        let found = reply.body["data"].as_array().map(Vec::len);
        found.ok_or_else(|| format!("{}: {}", text.trim(), reply.text))
    }

    async fn table(&mut self, heads: &[Cell], rows: &[Vec<Cell>]) -> Result<(), Lie> {
        for (column, head) in heads.iter().enumerate() {
            let named = |word: &str| {
                let collection = head.codes.last()?;
                head.text.ends_with(&format!("{word} {collection}")).then_some(collection)
            };
            for row in rows {
                for code in &row[column].codes {
                    if head.text.ends_with("as a field") {
                        self.field(code).await?;
                    } else if let Some(collection) = named("for") {
                        // A rule as it stands in JSON, or the expression alone.
                        let rule = serde_json::from_str(code).ok().filter(|it: &Value| it.is_null() || it.is_string());
                        self.rule(collection, "update", &rule.unwrap_or_else(|| json!(code))).await?;
                    } else if let Some(collection) = named("of") {
                        if self.filter(collection, "true").await? != 1 {
                            return Err(format!("`{collection}` has more records than one, or none"));
                        }
                        let came = self.filter(collection, code).await? == 1;
                        let said = row.get(column + 1).map(|it| it.text.trim());
                        if said != Some(if came { "true" } else { "false" }) {
                            return Err(format!("`{code}` is {came}"));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn field(&mut self, text: &str) -> Result<(), Lie> {
        self.tried += 1;
        let field: Value = serde_json::from_str(text).map_err(|it| format!("{it} in {text}"))?;
        let collection = json!({ "name": "tried", "fields": [field] });
        let reply = self.app.operator(Method::POST, "/api/v1/collections?dryRun=true").json(&collection).send().await;
        if reply.status == 200 { Ok(()) } else { Err(format!("{text}: {}", reply.text)) }
    }

    /// Whether a value is the one that is shown. Names that have no value yet get it.
    fn is(&mut self, shown: &Value, came: &Value, at: &str) -> Result<(), Lie> {
        let differs = || Err(format!("`{at}` is not {shown}"));
        match (shown, came) {
            (Value::String(shown), _) if shown == "…" => Ok(()),
            (Value::String(text), Value::String(came)) => {
                if let Some(name) = text.strip_prefix('$').filter(|it| is_name(it) && !self.names.contains_key(*it)) {
                    self.names.insert(name.to_owned(), came.clone());
                    return Ok(());
                }
                if text_is(&self.filled(text)?, came) { Ok(()) } else { differs() }
            }
            (Value::Number(shown), Value::Number(came)) if shown.as_f64() == came.as_f64() => Ok(()),
            (Value::Object(shown), Value::Object(came)) => {
                for (name, value) in shown.iter().filter(|(it, _)| *it != "…") {
                    let at = format!("{at}/{name}");
                    self.is(value, came.get(name).ok_or_else(|| format!("there is no `{at}`"))?, &at)?;
                }
                let hidden = came.keys().find(|it| !shown.contains_key(*it) && !shown.contains_key("…"));
                hidden.map_or(Ok(()), |it| Err(format!("the guide does not show `{at}/{it}`")))
            }
            (Value::Array(shown), Value::Array(came)) => {
                let rest = shown.last().is_some_and(|it| it == "…");
                let shown = &shown[..shown.len() - usize::from(rest)];
                if came.len() < shown.len() || (!rest && shown.len() < came.len()) {
                    return Err(format!("`{at}` has {} items", came.len()));
                }
                let mut items = shown.iter().zip(came).enumerate();
                items.try_for_each(|(index, (shown, came))| self.is(shown, came, &format!("{at}/{index}")))
            }
            _ if shown == came => Ok(()),
            _ => differs(),
        }
    }

    /// The text with its names replaced.
    fn filled(&self, text: &str) -> Result<String, Lie> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            let end = after.find(|it: char| !it.is_ascii_uppercase() && it != '_').unwrap_or(after.len());
            let name = &after[..end];
            out.push_str(before);
            if name.is_empty() {
                out.push('$');
            } else {
                out.push_str(self.names.get(name).ok_or_else(|| format!("nothing gave `${name}` a value"))?);
            }
            rest = &after[end..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_uppercase() || it == b'_')
}

/// Whether a text is the one that is shown, with `…` for any part of it.
fn text_is(shown: &str, came: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = came.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last.is_some_and(|it| it.is_empty() || came.ends_with(it))
}

/// JSON in which `…` stands for what is left out.
fn relaxed(text: &str) -> serde_json::Result<Value> {
    let mut out = String::new();
    let (mut open, mut in_text, mut escaped, mut before) = (Vec::new(), false, false, ' ');
    for letter in text.chars() {
        match letter {
            _ if in_text => {}
            '{' | '[' => open.push(letter),
            '}' | ']' => drop(open.pop()),
            '…' if before != ':' && open.last() == Some(&'{') => out.push_str("\"…\": true"),
            '…' => out.push_str("\"…\""),
            _ => {}
        }
        if letter != '…' || in_text {
            out.push(letter);
        }
        in_text = in_text != (letter == '"' && !escaped);
        escaped = in_text && letter == '\\' && !escaped;
        if !letter.is_whitespace() {
            before = letter;
        }
    }
    serde_json::from_str(&out)
}

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file")
}

/// Works through a guide that has at least so many examples.
async fn work_through(name: &str, at_least: usize) {
    let mut reader = Reader::new().await;
    if let Err(lie) = reader.read(&file(&format!("assets/docs/{name}.md"))).await {
        panic!("assets/docs/{name}.md, {lie}");
    }
    assert!(at_least <= reader.tried, "only {} examples were found", reader.tried);
}

#[tokio::test]
async fn the_guide_to_collections_is_true() {
    work_through("collections", 20).await;
}

#[tokio::test]
async fn the_guide_to_the_schema_is_true() {
    work_through("schema", 11).await;
}

#[tokio::test]
async fn the_guide_to_rules_is_true() {
    work_through("rules", 100).await;
}

#[tokio::test]
async fn the_guide_to_search_is_true() {
    work_through("search", 11).await;
}

#[tokio::test]
async fn the_guide_to_records_is_true() {
    work_through("records", 35).await;
}

#[tokio::test]
async fn the_guide_to_batches_is_true() {
    work_through("batch", 15).await;
}

#[tokio::test]
async fn the_guide_to_accounts_is_true() {
    work_through("accounts", 14).await;
}

#[tokio::test]
async fn the_guide_to_mail_is_true() {
    work_through("mail", 6).await;
}

#[tokio::test]
async fn the_guide_to_roles_is_true() {
    work_through("roles", 7).await;
}

#[tokio::test]
async fn the_guide_to_api_keys_is_true() {
    work_through("api-keys", 7).await;
}

#[tokio::test]
async fn the_guide_to_secrets_is_true() {
    work_through("secrets", 4).await;
}

#[tokio::test]
async fn the_guide_to_live_updates_is_true() {
    work_through("realtime", 20).await;
}

#[tokio::test]
async fn the_guide_to_relays_is_true() {
    work_through("relays", 2).await;
}

#[tokio::test]
async fn the_guide_to_the_audit_trail_is_true() {
    work_through("audit", 7).await;
}

#[tokio::test]
async fn the_example_of_a_dictionary_is_a_collection() {
    let app = TestApp::new().await;
    let collection: Value = serde_json::from_str(&file("packaging/examples/dictionary/collection.json")).expect("JSON");

    let made = app.operator(Method::POST, "/api/v1/collections").json(&collection).send().await;

    assert_eq!(made.status, 201, "{made:?}");
}

const TRUE: &str = "
```http
POST /api/v1/collections
Authorization: Bearer $ADA

{\"name\": \"posts\", \"fields\": [{\"name\": \"title\", \"type\": \"text\"}], \"rules\": {\"list\": \"true\"}}
```

```http
POST /api/v1/collections/posts/records
Authorization: Bearer $ADA

{\"title\": \"Tea\"}
```

```http
201 Created
ETag: \"1-…\"
Location: /api/v1/collections/posts/records/$TEA

{\"id\": \"$TEA\", \"title\": \"Tea\", …}
```

```http
GET /api/v1/collections/posts/records
    ?filter=title == 'Tea' && true
    &fields=id
```

```http
200 OK

{\"data\": [{\"id\": \"$TEA\"}], \"meta\": {\"limit\": 30}}
```

```cel posts update
!changed('title')
```

| Expression, for `posts` | |
|---|---|
| `title != 'x'` or `null` | words |

| Expression, of `posts` | Answer |
|---|---|
| `title == 'Tea'` | true |

| What it looks like, as a field |
|---|
| `{\"name\": \"a\", \"type\": \"text\"}` |
";

/// Each of these is a lie by one word.
#[tokio::test]
async fn a_guide_that_lies_is_found_out() {
    let mut reader = Reader::new().await;
    let known = reader.names.clone();
    assert_eq!(reader.read(TRUE).await, Ok(()));
    for (word, lie) in [
        ("Bearer $ADA", "Bearer $GRACE"),
        ("$ADA", "$EVE"),
        ("201 Created", "200 OK"),
        ("201 Created", "201 OK"),
        ("ETag: \"1-…\"", "ETag: \"2-…\""),
        ("records/$TEA\n", "records/$GRACE_ID\n"),
        ("\"Tea\", …}", "\"Coffee\", …}"),
        ("\"Tea\", …}", "\"Tea\"}"),
        ("\"Tea\", …}", "\"Tea\", \"note\": null, …}"),
        ("== 'Tea' && true", "== 'Coffee' && true"),
        ("&fields=id", "&fields=ids"),
        ("{\"limit\": 30}", "{\"limit\": 31}"),
        ("[{\"id\": \"$TEA\"}]", "[]"),
        ("changed('title')", "changed('titel')"),
        ("cel posts update", "cel posts view"),
        ("cel posts update", "cel"),
        ("title != 'x'", "title != 1"),
        ("| true |", "| false |"),
        ("\"type\": \"text\"}` |", "\"type\": \"words\"}` |"),
    ] {
        let guide = TRUE.replacen(word, lie, 1);
        assert_ne!(guide, TRUE, "{word}");

        assert!(reader.again(&guide, &known).await.is_err(), "nobody saw that `{word}` became `{lie}`");
    }
    assert_eq!(reader.again(TRUE, &known).await, Ok(()));
}
