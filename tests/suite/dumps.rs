//! Files of accounts as other servers export them, imported at the command line.
use std::path::Path;

use serde_json::{Value, json};

use crate::ask::ask;
use crate::server::{Server, command, steading};

const THEIRS: &str = "correct horse";
/// Of [`THEIRS`].
const BCRYPT: &str = "$2b$04$vJtWvDJccXkyeWdJPcKn6.y8VHhfZbb5w1E2G.xR5eoqL2MB5CBNi";
/// What the console of Firebase shows, of the project in its documentation.
const HASH_CONFIG: &str = "hash_config {
  algorithm: SCRYPT,
  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}";

/// Runs an import, and returns whether all went in and what it said.
fn import(folder: &Path, args: &[&str]) -> (bool, String) {
    let ran = command(folder, &[&["users", "import"], args].concat()).output().expect("run");
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    (ran.status.success(), said)
}

fn write(folder: &Path, name: &str, content: &str) {
    std::fs::write(folder.join(name), content).expect("written");
}

fn login(server: &Server, email: &str, password: &str) -> (u16, Value) {
    let body = json!({ "email": email, "password": password }).to_string();
    let (status, reply) = ask(&server.url, "POST", "/api/v1/auth/login", "", &body).expect("an answer");
    (status, serde_json::from_str(&reply).expect("JSON"))
}

/// A server with data, and its folder.
fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    (folder, server)
}

#[test]
fn who_comes_from_firebase_signs_in_with_their_password() {
    let (folder, server) = server();
    let folder = folder.path();
    write(folder, "hash.txt", HASH_CONFIG);
    let users = json!({ "users": [
        {
            "localId": "u1", "email": "user1@example.com", "emailVerified": true, "displayName": "User One",
            "passwordHash": "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==",
            "salt": "42xEC+ixf3L2lw==", "createdAt": "1486324170000", "providerUserInfo": [],
        },
        {
            // The same, in the letters of addresses.
            "email": "user2@example.com",
            "passwordHash": "lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ==",
            "salt": "42xEC-ixf3L2lw==", "disabled": true,
        },
        { "localId": "u3", "phoneNumber": "+15550100" },
        { "email": "user4@example.com", "providerUserInfo": [{ "providerId": "google.com" }] },
    ] });
    write(folder, "users.json", &users.to_string());

    let (_, dry) = import(folder, &["users.json", "--from", "firebase", "--hash-config", "hash.txt", "--dry-run"]);
    let (whole, said) = import(folder, &["users.json", "--from", "firebase", "--hash-config", "hash.txt"]);

    assert!(dry.contains("3 would be imported, 1 refused"), "{dry}");
    assert!(!whole && said.contains("record 3: email is missing") && said.contains("3 imported, 1 refused"), "{said}");
    let (status, signed_in) = login(&server, "user1@example.com", "user1password");
    assert_eq!(status, 200, "{signed_in}");
    let user = &signed_in["user"];
    assert_eq!(
        (&user["name"], &user["emailVerified"], &user["createdAt"], &user["role"]),
        (&json!("User One"), &json!(true), &json!("2017-02-05T19:49:30.000Z"), &json!("user"))
    );
    assert_eq!(login(&server, "user1@example.com", "user1passwork").0, 401);
    assert_eq!(login(&server, "user2@example.com", "user1password").0, 401, "disabled");
    assert_eq!(login(&server, "user4@example.com", "user1password").0, 401, "without a password");
}

#[test]
fn who_comes_from_supabase_auth0_or_pocketbase_signs_in_with_their_password() {
    let (folder, server) = server();
    let folder = folder.path();
    let supabase = json!([
        {
            "email": "s1@example.com", "encrypted_password": BCRYPT, "email_confirmed_at": "2024-01-02T03:04:05.678+00:00",
            "created_at": "2023-01-02T03:04:05.678901+00:00", "raw_user_meta_data": { "full_name": "Supa One" },
            "raw_app_meta_data": { "role": "admin" }, "role": "admin", "is_super_admin": true, "banned_until": null,
        },
        { "email": "s2@example.com", "encrypted_password": BCRYPT, "deleted_at": "2024-01-02T03:04:05Z" },
        { "email": "s3@example.com", "encrypted_password": BCRYPT, "banned_until": "2999-01-02T03:04:05Z" },
        { "email": "s4@example.com", "encrypted_password": BCRYPT, "banned_until": "2020-01-02T03:04:05Z" },
        { "email": "not an address", "encrypted_password": BCRYPT },
    ]);
    write(folder, "supabase.json", &supabase.to_string());
    write(
        folder,
        "supabase.csv",
        &format!(
            "id,email,encrypted_password,email_confirmed_at,created_at,raw_user_meta_data,deleted_at,banned_until\n\
             1,s5@example.com,{BCRYPT},2024-01-02 03:04:05.67+00,2023-01-02 04:04:05+01,\"{{\"\"name\"\": \"\"Supa, Five\"\"}}\",,\n\
             2,s6@example.com,{BCRYPT},,2023-01-02 03:04:05+00,{{}},,infinity\n"
        ),
    );
    let auth0 = [
        json!({
            "_id": { "$oid": "6" }, "email": "a1@example.com", "email_verified": true, "passwordHash": BCRYPT,
            "created_at": { "$date": "2023-01-02T03:04:05.000Z" }, "tenant": "t", "connection": "c", "name": "a1@example.com",
        }),
        json!({
            "email": "a2@example.com", "blocked": true,
            "custom_password_hash": { "algorithm": "bcrypt", "hash": { "value": BCRYPT } },
        }),
    ];
    write(folder, "auth0.ndjson", &auth0.map(|it| format!("{it}\n")).concat());
    write(
        folder,
        "pocketbase.csv",
        &format!(
            "id,created,updated,email,verified,name,password,tokenKey\r\n\
             x,2023-01-02 03:04:05.000Z,2023-01-02 03:04:05.000Z,p1@example.com,1,Pocket One,{BCRYPT},k\r\n\
             y,2023-01-02 03:04:05.000Z,2023-01-02 03:04:05.000Z,p2@example.com,0,,{BCRYPT},k\r\n"
        ),
    );

    let (whole, said) = import(folder, &["supabase.json", "--from", "supabase"]);
    assert!(!whole && said.contains("record 5: email") && said.contains("3 imported, 1 refused"), "{said}");
    assert!(said.contains("1 that were deleted there left out"), "{said}");
    for (file, origin) in [("supabase.csv", "supabase"), ("auth0.ndjson", "auth0"), ("pocketbase.csv", "pocketbase")] {
        let (whole, said) = import(folder, &[file, "--from", origin]);
        assert!(whole && said.contains("2 imported, 0 refused"), "{file}: {said}");
    }

    let named = [
        ("s1@example.com", "Supa One", true),
        ("s4@example.com", "", false),
        ("s5@example.com", "Supa, Five", true),
        ("a1@example.com", "", true),
        ("p1@example.com", "Pocket One", true),
        ("p2@example.com", "", false),
    ];
    for (email, name, is_verified) in named {
        assert_eq!(login(&server, email, "wrong").0, 401, "{email}");
        let (status, signed_in) = login(&server, email, THEIRS);
        let user = &signed_in["user"];
        let shown = (status, user["name"].as_str(), &user["emailVerified"], user["role"].as_str());
        assert_eq!(shown, (200, Some(name), &json!(is_verified), Some("user")), "{email}");
        if !["s4@example.com"].contains(&email) {
            assert!(user["createdAt"].as_str().is_some_and(|it| it.starts_with("2023-01-02T03:04:05")), "{user}");
        }
    }
    for email in ["s2@example.com", "s3@example.com", "s6@example.com", "a2@example.com"] {
        assert_eq!(login(&server, email, THEIRS).0, 401, "{email}");
    }
}

#[test]
fn what_cannot_be_read_is_told_and_what_came_before_it_is_there() {
    let (folder, server) = server();
    let folder = folder.path();
    write(folder, "hash.txt", HASH_CONFIG);
    write(folder, "cut.json", "[{\"email\": \"a@example.com\"},\n {\"email\": \"b@exa");
    write(folder, "users.json", "{\"users\": []}");
    write(folder, "wrong.txt", "rounds: 8");

    let (whole, said) = import(folder, &["cut.json", "--from", "pocketbase"]);

    assert!(
        !whole && said.contains("1 imported") && said.contains("was not read") && said.contains("line 2"),
        "{said}"
    );
    let found = steading(folder, &["users", "import", "users.json", "--from", "firebase", "--hash-config", "hash.txt"]);
    assert!(found.contains("0 imported, 0 refused"), "{found}");
    for (args, expected) in [
        (&["users.json", "--from", "firebase"][..], "need `--hash-config FILE`"),
        (&["users.json", "--hash-config", "hash.txt"], "goes with `--from firebase`"),
        (&["users.json", "--from", "auth0", "--hash-config", "hash.txt"], "goes with `--from firebase`"),
        (&["users.json", "--from", "firebase", "--hash-config", "wrong.txt"], "`base64_signer_key` is missing"),
        (&["nothing.json", "--from", "auth0"], "cannot read nothing.json"),
        (&["data", "--from", "auth0"], "data is a folder"),
        (&["users.json", "--from", "elsewhere"], "possible values: firebase, supabase, auth0, pocketbase"),
    ] {
        let (whole, said) = import(folder, args);
        assert!(!whole && said.contains(expected), "{args:?}: {said}");
    }
    drop(server);
}

/// Memory holds a part of a file, however long it is.
#[test]
fn a_file_with_many_accounts_goes_in_with_the_server_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    steading(folder, &["admin", "link"]);
    let rows: String = (0..3_000).map(|n| format!("user{n}@example.com,{BCRYPT},{n}\n")).collect();
    write(folder, "users.csv", &format!("email,password,name\n{rows}"));

    let (whole, said) = import(folder, &["users.csv", "--from", "pocketbase"]);
    let (again, refused) = import(folder, &["users.csv", "--from", "pocketbase"]);

    assert!(whole && said.contains("3000 imported, 0 refused"), "{said}");
    assert!(!again && refused.contains("record 3000: email has an account"), "{refused}");
}
