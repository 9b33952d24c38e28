//! With what, and from where, someone calls: as they see it among their own sessions.
use poem::http::HeaderMap;
use poem::http::header::USER_AGENT;
use poem::{FromRequest, Request, RequestBody};

use super::ClientAddress;
use crate::base::text::visible;

/// As much of what a program calls itself as is kept.
const NAME_CHARS_MAX: usize = 80;

/// The program that someone calls with, and the address that it calls from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// `Firefox on Linux`, or the beginning of what it calls itself without numbers of versions; empty if it says
    /// nothing.
    pub name: String,
    /// Empty at the operator's socket.
    pub address: String,
}

impl<'a> FromRequest<'a> for Client {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let address = request.extensions().get::<ClientAddress>().and_then(|it| it.0);
        let address = address.map(|it| it.to_canonical().to_string()).unwrap_or_default();
        Ok(Self { name: name(request.headers()), address })
    }
}

fn name(headers: &HeaderMap) -> String {
    let Some(said) = headers.get(USER_AGENT).and_then(|it| it.to_str().ok()) else { return String::new() };
    match (browser(said), system(said)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        // A library or a tool: `curl/7.88.1` is `curl`, so that an update is no other program.
        _ => {
            let product = said.split(['/', ' ', '(']).next().unwrap_or_default();
            visible(product).chars().take(NAME_CHARS_MAX).collect()
        }
    }
}

/// Each of them names those before it too, so the first that is found is the one.
fn browser(said: &str) -> Option<&'static str> {
    let known = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    known.iter().find(|(mark, _)| said.contains(mark)).map(|it| it.1)
}

fn system(said: &str) -> Option<&'static str> {
    let known = [
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("Mac OS X", "a Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    known.iter().find(|(mark, _)| said.contains(mark)).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    #[test]
    fn programs_are_called_what_people_call_them() {
        let said = [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 \
                 Safari/537.36 Edg/143.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.1 Mobile/15E148 Safari/604.1",
                "Safari on an iPhone",
            ),
            ("curl/7.88.1", "curl"),
            ("MyApp/2.3 (build 7)", "MyApp"),
            ("", ""),
        ];

        for (said, called) in said {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(said));
            assert_eq!(name(&headers), called, "{said}");
        }
        assert_eq!(name(&HeaderMap::new()), "");
    }
}
