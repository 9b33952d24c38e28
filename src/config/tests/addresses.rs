//! Addresses in settings are checked where they are read, not when they fail to work.
use super::*;

/// What is wrong with one setting of text, without where.
fn refused(section: &str, key: &str, value: &str) -> Option<String> {
    let it = fixture(&format!("[{section}]\n{key} = {value}\n"));
    let error = Live::load(it.sources.clone()).err()?;
    assert_eq!(error.complaints.len(), 1, "{error}");
    Some(error.complaints[0].text.clone())
}

#[test]
fn an_origin_is_one_that_a_browser_sends() {
    for origin in [
        "*",
        "https://app.example.com",
        "http://localhost:5173",
        "http://[::1]:3000",
        "https://xn--bcher-kva.example",
        "capacitor://localhost",
    ] {
        assert_eq!(refused("cors", "origins", &format!("[\"{origin}\"]")), None, "{origin}");
    }
    for origin in [
        "",
        "app.example.com",
        "https://",
        "https://*.example.com",
        "https://app.example.com?q",
        "https://app.example.com#f",
        "https://user@app.example.com",
        "https://app.example.com:99999",
        "https://bücher.example",
        "https://app.example.com ",
        "https://app.example.com, https://b.example",
    ] {
        let text = refused("cors", "origins", &format!("[\"{origin}\"]")).expect(origin);
        assert_eq!(text, format!("`cors.origins` \"{origin}\" is not an origin such as \"https://app.example.com\""));
    }
}

#[test]
fn an_origin_that_no_browser_sends_is_told_how_to_write_it() {
    for (origin, meant) in [
        ("https://app.example.com/", "https://app.example.com"),
        ("https://app.example.com/path", "https://app.example.com"),
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://[0:0::1]", "http://[::1]"),
    ] {
        let text = refused("cors", "origins", &format!("[\"{origin}\"]")).expect(origin);
        assert_eq!(text, format!("`cors.origins` \"{origin}\" is sent by no browser; did you mean \"{meant}\"?"));
    }
}

/// Any file on a visitor's disk, and any frame in a sandbox, has this origin.
#[test]
fn the_origin_null_cannot_be_listed() {
    assert!(refused("cors", "origins", "[\"null\"]").expect("refused").contains("list no such"));
}

#[test]
fn lists_have_a_longest_length() {
    let many = |count: usize, of: &dyn Fn(usize) -> String| {
        let items: Vec<_> = (0..count).map(|it| format!("\"{}\"", of(it))).collect();
        format!("[{}]", items.join(", "))
    };
    let origins = |count| many(count, &|it| format!("https://{it}.example.com"));
    let proxies = |count| many(count, &|it| format!("10.0.{}.{}", it / 256, it % 256));

    assert_eq!(refused("cors", "origins", &origins(100)), None);
    assert_eq!(
        refused("cors", "origins", &origins(101)).as_deref(),
        Some("`cors.origins` must be at most 100, got 101")
    );
    assert_eq!(refused("server", "trusted_proxies", &proxies(1_000)), None);
    assert!(
        refused("server", "trusted_proxies", &proxies(1_001)).expect("refused").ends_with("at most 1000, got 1001")
    );
}

#[test]
fn the_public_address_is_one_that_a_path_can_be_appended_to() {
    for url in ["", "https://api.example.com", "http://nas:8088", "https://example.com/api", "http://[fd00::1]:8088"] {
        assert_eq!(refused("server", "public_url", &format!("\"{url}\"")), None, "{url}");
    }
    for url in [
        "https://",
        "https:///path",
        "https://api.example.com/",
        "https://example.com/api/",
        "https://example.com?q=1",
        "https://example.com/#top",
        "https://user:pw@example.com",
        "https://example.com:0",
        "https://example.com:port",
        "https://exa mple.com",
        "https://example.com/a b",
        "https://example.com\\\\evil",
        "ftp://example.com",
        "javascript://example.com",
        "example.com",
    ] {
        let text = refused("server", "public_url", &format!("\"{url}\"")).expect(url);
        let expected = "`server.public_url` must be such as \"https://api.example.com\", without a slash at its end";
        assert_eq!(text, expected, "{url}");
    }
}

#[test]
fn the_address_of_the_admin_is_checked_as_everyones_is() {
    for email in ["ada", "ada@", "a b@example.com", "ada@example..com"] {
        let it = fixture(&format!("[setup]\nadmin_email = \"{email}\"\nadmin_password = \"correct horse battery\"\n"));
        let expected = "config.toml:2:1: `setup.admin_email` must be an e-mail address, such as ada@example.com";
        assert_eq!(it.complaints(), [format!("{expected}, got \"{email}\"")]);
    }
}
