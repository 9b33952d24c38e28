"""Access tokens as others verify them: each function is a promise."""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BINARY, FOLDER = sys.argv[1], sys.argv[2]
PASSWORD = "correct horse battery staple"
PATIENCE = 20


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


URL = f"http://127.0.0.1:{free_port()}"


def start():
    """A server that knows its own address, as one behind a proxy does."""
    environment = {
        **os.environ,
        "STEADING__SERVER__PUBLIC_URL": URL,
        "STEADING__ACCOUNTS__HASH_MEMORY_KIB": "8192",
        "STEADING__ACCOUNTS__HASH_ITERATIONS": "1",
    }
    with open(os.path.join(FOLDER, "log"), "ab") as log:
        server = subprocess.Popen(
            [BINARY, "serve", "--listen", URL.removeprefix("http://")],
            cwd=FOLDER,
            env=environment,
            stdout=log,
            stderr=log,
        )
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return server if ask("GET", "/health")[0] == 200 else None
        except OSError:
            assert time.monotonic() < until, "it did not start"
            time.sleep(0.05)


def ask(method, path, body=None, token=None):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def steading(*args):
    return subprocess.run([BINARY, *args], cwd=FOLDER, check=True, capture_output=True, text=True).stdout


def verified(token):
    """What a token says, as a program finds out that knows the address of the issuer alone."""
    with urllib.request.urlopen(f"{URL}/.well-known/openid-configuration", timeout=PATIENCE) as answer:
        found = json.load(answer)
    key = jwt.PyJWKClient(found["jwks_uri"]).get_signing_key_from_jwt(token)
    return jwt.decode(token, key, algorithms=["EdDSA"], audience="steading", issuer=found["issuer"])


def sign_in():
    status, answer = ask("POST", "/api/v1/auth/login", {"email": "ada@example.com", "password": PASSWORD})
    assert status == 200, answer
    return answer["accessToken"], answer["refreshToken"]


def is_let_in(token):
    return ask("GET", "/api/v1/auth/profile", token=token)[0] == 200


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def a_token_is_verified_by_a_library_that_knows_the_issuer(token):
    claims = verified(token)
    assert claims["sub"] == ask("GET", "/api/v1/auth/profile", token=token)[1]["id"]
    assert claims["iss"] == URL and claims["exp"] - claims["iat"] == 900


def each_key_is_named_by_its_thumbprint():
    keys = ask("GET", "/.well-known/jwks.json")[1]["keys"]
    assert len(keys) == 2
    for key in keys:
        members = json.dumps({name: key[name] for name in ["crv", "kty", "x"]}, separators=(",", ":"))
        assert key["kid"] == base64url(hashlib.sha256(members.encode()).digest())


def nothing_that_somebody_else_signed_is_let_in(token):
    head, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    ours = next(it for it in ask("GET", "/.well-known/jwks.json")[1]["keys"] if it["kid"] == head["kid"])
    theirs = Ed25519PrivateKey.generate()
    public = base64url(theirs.public_key().public_bytes_raw())
    kept = {"typ": head["typ"], "kid": head["kid"]}
    brought = {**kept, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": public}, "jku": "http://127.0.0.1:1/jwks.json"}
    forged = [jwt.encode(claims, theirs, algorithm="EdDSA", headers=it) for it in [kept, brought, {**kept, "kid": "x"}]]
    forged.append(jwt.encode(claims, None, algorithm="none", headers=kept))
    # With what everybody may read as the secret of another algorithm.
    for secret in [ours["x"].encode(), base64.urlsafe_b64decode(ours["x"] + "=")]:
        said = base64url(json.dumps({**kept, "alg": "HS256"}).encode()) + "." + token.split(".")[1]
        forged.append(said + "." + base64url(hmac.digest(secret, said.encode(), "sha256")))
    assert is_let_in(token)
    for it in forged:
        assert not is_let_in(it), jwt.get_unverified_header(it)


def a_rotation_is_noticed_by_nobody(token):
    known = [it["kid"] for it in ask("GET", "/.well-known/jwks.json")[1]["keys"]]
    steading("admin", "rotate-keys")
    other, _ = sign_in()
    assert jwt.get_unverified_header(other)["kid"] == known[1], "the key that signs was published before"
    for it in [token, other]:
        assert is_let_in(it) and verified(it)


def a_revoked_key_verifies_nothing_and_sessions_go_on():
    token, refresh = sign_in()
    steading("admin", "rotate-keys", "--revoke")
    assert not is_let_in(token)
    try:
        verified(token)
    except jwt.PyJWKClientError:
        pass
    else:
        raise AssertionError("a revoked key is published")
    status, fresh = ask("POST", "/api/v1/auth/refresh-token", {"refreshToken": refresh})
    assert status == 200 and is_let_in(fresh["accessToken"]) and verified(fresh["accessToken"])


steading("admin", "create", "--email", "ada@example.com", "--password", PASSWORD)
server = start()
try:
    access, _ = sign_in()
    a_token_is_verified_by_a_library_that_knows_the_issuer(access)
    each_key_is_named_by_its_thumbprint()
    nothing_that_somebody_else_signed_is_let_in(access)
    a_rotation_is_noticed_by_nobody(access)
    a_revoked_key_verifies_nothing_and_sessions_go_on()
finally:
    server.send_signal(signal.SIGTERM)
    server.wait(PATIENCE)
print("five promises about tokens hold")
