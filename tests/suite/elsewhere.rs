//! Promises about asking a server elsewhere, over TLS: who is believed, and what is said when nobody is.
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::ask::ask;
use crate::server::{Server, command, steading};
use crate::support::certificates::{Certificate, LONG_AGO, NOW};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// Puts TLS before a server, as a proxy does, and returns the port.
pub async fn in_front_of(url: &str, certificate: &Certificate) -> u16 {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.key.clone()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der.clone().into()], key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let behind = url.trim_start_matches("http://").to_owned();
    Handle::current().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not believe the certificate hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut server = TcpStream::connect(&behind).await.expect("connected");
            let _ = copy_bidirectional(&mut stream, &mut server).await;
        }
    });
    port
}

fn token(server: &Server) -> String {
    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let (_, text) = ask(&server.url, "POST", "/api/v1/auth/login", "", &body).expect("answered");
    let body: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    body["accessToken"].as_str().expect("a token").to_owned()
}

fn pull(folder: &Path, token: &str, url: &str, authority: &[&str]) -> (i32, String) {
    let args = [&["schema", "pull", "--url", url], authority].concat();
    let ran = command(folder, &args).env("STEADING_TOKEN", token).output().expect("run");
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    (ran.status.code().expect("a code"), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_tls_is_asked_if_its_certificate_is_believed_and_told_why_not_otherwise() {
    let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let folder = folder.path();
    steading(other.path(), &["admin", "create", "--email", EMAIL, "--password", PASSWORD]);
    let server = Server::start(other.path(), &[("STEADING__SCHEMA__FOLDER", "")]);
    let token = token(&server);
    let body = json!({ "name": "a", "fields": [] }).to_string();
    ask(&server.url, "POST", "/api/v1/collections", &token, &body).expect("answered");
    let (authority, stranger) = (Certificate::of_authority("Ours"), Certificate::of_authority("Theirs"));
    std::fs::write(folder.join("ours.pem"), authority.pem()).expect("written");
    std::fs::write(folder.join("both.pem"), stranger.pem() + &authority.pem()).expect("written");
    std::fs::write(folder.join("theirs.pem"), stranger.pem()).expect("written");
    std::fs::write(folder.join("none.pem"), "nothing\n").expect("written");
    let sound = in_front_of(&server.url, &authority.vouch("localhost", NOW)).await;
    let ours: &[&str] = &["--ca", "ours.pem"];

    for file in ["ours.pem", "both.pem"] {
        let (code, said) = pull(folder, &token, &format!("https://localhost:{sound}"), &["--ca", file]);
        assert_eq!((code, said.as_str()), (0, "wrote schema/a.json\n"), "{file}");
        std::fs::remove_dir_all(folder.join("schema")).expect("removed");
    }
    let expired = in_front_of(&server.url, &authority.vouch("localhost", LONG_AGO)).await;
    let misnamed = in_front_of(&server.url, &authority.vouch("api.example.com", NOW)).await;
    let of_authority = in_front_of(&server.url, &authority).await;
    let plain = server.url.rsplit(':').next().and_then(|it| it.parse().ok()).expect("a port");
    let mend = "; `--ca FILE` names the certificate of one of your own";
    for (port, authority, words) in [
        (sound, &[][..], format!("its certificate is of an authority that is not known here{mend}")),
        (sound, &["--ca", "theirs.pem"], format!("of an authority that is not known here{mend}")),
        (sound, &["--ca", "none.pem"], "none.pem: has no certificate in it".to_owned()),
        (sound, &["--ca", "gone.pem"], "gone.pem: cannot be read".to_owned()),
        (expired, ours, "its certificate has expired".to_owned()),
        (misnamed, ours, "its certificate is for another name".to_owned()),
        (of_authority, ours, "its certificate is that of an authority".to_owned()),
        (plain, ours, "is it a server that wants http://?".to_owned()),
        (1, ours, "cannot reach localhost:1".to_owned()),
    ] {
        let (code, said) = pull(folder, &token, &format!("https://localhost:{port}"), authority);
        assert!(code == 2 && said.contains(&words), "{words}: {code} {said}");
        assert!(!folder.join("schema").exists() && !said.contains(&token), "{said}");
    }
}
