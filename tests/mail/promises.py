"""Mails through a real SMTP server: each function is a promise."""

import email
import email.policy
import json
import logging
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import dkim
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

logging.disable(logging.CRITICAL)  # what the peer thinks of bad certificates
BINARY, FOLDER = sys.argv[1], sys.argv[2]
PASSWORD = "correct horse battery staple"
NEW_PASSWORD = "another horse, another staple"
PATIENCE = 20

authority = trustme.CA()
authority_file = os.path.join(FOLDER, "authority.pem")
authority.cert_pem.write_to_path(authority_file)
certificate = authority.issue_cert("localhost", "127.0.0.1")


class Post:
    """Keeps what it is sent, and refuses what it is told to."""

    def __init__(self):
        self.mails, self.refusals, self.unknown, self.arrived = [], {}, {}, threading.Condition()

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address in self.unknown:
            return self.unknown[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        refusals = self.refusals.get(envelope.rcpt_tos[0])
        if refusals:
            return refusals.pop(0) if isinstance(refusals, list) else refusals
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with self.arrived:
            self.mails.append((envelope, session, mail))
            self.arrived.notify_all()
        return "250 OK"

    def wait(self, to, count=1):
        """The newest mail to an address, when there are so many."""
        with self.arrived:
            of = lambda: [it for it in self.mails if it[0].rcpt_tos == [to]]
            assert self.arrived.wait_for(lambda: count <= len(of()), PATIENCE), f"no mail came to {to}"
            return of()[-1]


def smtp_server(post, port=0, implicit_tls=False):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)

    def authenticate(server, session, envelope, mechanism, data):
        right = data.login == b"steading" and data.password == b"secret"
        return AuthResult(success=right, handled=right)

    options = dict(authenticator=authenticate, auth_required=True, auth_require_tls=not implicit_tls)
    if implicit_tls:
        controller = Controller(post, hostname="127.0.0.1", port=port or free_port(), ssl_context=context, **options)
    else:
        controller = Controller(
            post, hostname="127.0.0.1", port=port or free_port(), tls_context=context, require_starttls=True, **options
        )
    controller.start()
    return controller


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Server:
    """Steading, with a mail server set."""

    def __init__(self, name, port, **settings):
        self.data = os.path.join(FOLDER, name)
        mail = dict(host="localhost", port=port, username="steading", password="secret", timeout_secs=2)
        mail.update({"from": "post@example.com", "from_name": "Notes", "ca_file": authority_file}, **settings)
        mail = {key: value for key, value in mail.items() if value is not None}
        environment = {f"STEADING__MAIL__{key.upper()}": str(value) for key, value in mail.items()}
        environment |= {"STEADING__SERVER__PUBLIC_URL": "https://notes.example.com"}
        self.environment = {**os.environ, **environment}
        admin = ["admin", "create", "--email", "admin@example.com", "--password", PASSWORD]
        subprocess.run([BINARY, "--data", self.data, *admin], check=True, stdout=subprocess.DEVNULL, env=self.environment)
        self.start()
        login = self.call("POST", "/auth/login", {"email": "admin@example.com", "password": PASSWORD})
        assert login[0] == 200, login
        self.token = login[1]["accessToken"]

    def start(self):
        command = [BINARY, "--data", self.data, "serve", "--listen", "127.0.0.1:0"]
        self.log = open(os.path.join(FOLDER, "log"), "a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.environment)
        for line in self.process.stdout:
            if "  listens" in line:
                self.url = "http://" + line.split()[1]
                return
        raise AssertionError("it does not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def call(self, method, path, body=None, token=None):
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + "/api/v1" + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read())

    def job(self, is_it, patience=PATIENCE):
        """The newest job of mails, once it is as it should be."""
        end = time.monotonic() + patience
        while True:
            jobs = self.call("GET", "/admin/jobs?kind=accounts.mail", token=self.token)[1]["data"]
            if jobs and is_it(jobs[0]):
                return jobs[0]
            assert time.monotonic() < end, jobs[:1]
            time.sleep(0.05)


def part(mail, kind):
    return mail.get_body((kind,)).get_content()


def link_token(mail):
    return re.search(r"\?token=(\S+)", part(mail, "plain")).group(1)


def someone_registers_verifies_forgets_and_comes_back(implicit_tls):
    post = Post()
    smtp = smtp_server(post, implicit_tls=implicit_tls)
    with Server(f"flow-{implicit_tls}", smtp.port, security="tls" if implicit_tls else "starttls") as server:
        address = {"email": "ada@example.com"}
        status, answer = server.call("POST", "/auth/register", {**address, "password": PASSWORD, "name": "Ada Łovelace"})
        assert (status, list(answer)) == (201, ["user"]), "with a mail server set, addresses are verified"
        assert server.call("POST", "/auth/login", {**address, "password": PASSWORD})[0] == 401

        envelope, session, mail = post.wait("ada@example.com")
        assert (implicit_tls or session.ssl) and session.authenticated and envelope.mail_from == "post@example.com"
        assert str(mail["from"]) == "Notes <post@example.com>" and mail["to"] == "ada@example.com"
        assert mail["auto-submitted"] == "auto-generated" and mail["message-id"].endswith("@example.com>")
        assert mail.get_content_type() == "multipart/alternative"
        assert "Ada Łovelace" not in part(mail, "plain"), "nobody showed yet that it is theirs"
        assert "https://notes.example.com/verify-email?token=" in part(mail, "html")
        assert server.call("POST", "/auth/verify-email", {"token": link_token(mail)})[0] == 204
        assert server.call("POST", "/auth/login", {**address, "password": PASSWORD})[0] == 200
        post.wait("ada@example.com", 2)

        assert server.call("POST", "/auth/forgot-password", address)[0] == 202
        mail = post.wait("ada@example.com", 3)[2]
        assert "Ada Łovelace" in part(mail, "plain") and "Ada Łovelace" in part(mail, "html")
        body = {"token": link_token(mail), "newPassword": NEW_PASSWORD}
        assert server.call("POST", "/auth/reset-password", body)[0] == 204
        assert server.call("POST", "/auth/login", {**address, "password": NEW_PASSWORD})[0] == 200
        assert server.call("GET", "/admin/mailbox", token=server.token)[1]["data"] == [], "what is sent is not kept"
    smtp.stop()


def a_mail_waits_for_a_server_that_is_gone_also_through_a_kill(_):
    port, post = free_port(), Post()
    with Server("gone", port) as server:
        assert server.call("POST", "/auth/forgot-password", {"email": "admin@example.com"})[0] == 202
        job = server.job(lambda it: it["state"] == "waiting" and it["attempts"] == 1)
        assert f"localhost:{port}" in job["error"], job
        server.process.kill()
        server.process.wait()
        server.start()
        smtp = smtp_server(post, port)
        mail = post.wait("admin@example.com")[2]
        body = {"token": link_token(mail), "newPassword": NEW_PASSWORD}
        assert server.call("POST", "/auth/reset-password", body)[0] == 204
        smtp.stop()


def a_server_that_hangs_holds_nobody_up(_):
    hanging = socket.create_server(("127.0.0.1", 0))
    with Server("hangs", hanging.getsockname()[1]) as server:
        begun = time.monotonic()
        for _ in range(5):
            assert server.call("POST", "/auth/forgot-password", {"email": "admin@example.com"})[0] == 202
        took = time.monotonic() - begun
        assert took < 2, f"asking took {took:.1f} s"
        job = server.job(lambda it: it.get("error"))
        assert "takes too long" in job["error"], job
        status, problem = server.call("POST", "/admin/mail/test", {"to": "you@example.com"}, server.token)
        assert (status, problem["code"]) == (502, "mail-not-sent") and "takes too long" in problem["detail"], problem
    hanging.close()


def what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_not(_):
    post = Post()
    smtp = smtp_server(post)
    with Server("refuses", smtp.port) as server:
        post.refusals["admin@example.com"] = ["451 come back later"]
        server.call("POST", "/auth/forgot-password", {"email": "admin@example.com"})
        post.wait("admin@example.com")
        post.refusals["admin@example.com"] = "550 no such mailbox"
        server.call("POST", "/auth/forgot-password", {"email": "admin@example.com"})
        job = server.job(lambda it: it["state"] == "failed")
        assert job["attempts"] == 1 and "no such mailbox" in job["error"], job
    smtp.stop()


def a_wrong_password_and_an_unknown_certificate_are_named(_):
    smtp = smtp_server(Post())
    test = ("POST", "/admin/mail/test", {"to": "you@example.com"})
    with Server("wrong-password", smtp.port, password="guessed") as server:
        status, problem = server.call(*test, server.token)
        assert status == 502 and "mail.password" in problem["detail"], problem
    with Server("unknown", smtp.port, ca_file=None) as server:
        status, problem = server.call(*test, server.token)
        assert status == 502 and "certificate" in problem["detail"].lower(), problem
    smtp.stop()


def a_server_without_encryption_is_told_nothing(_):
    plain = Controller(Post(), hostname="127.0.0.1", port=free_port())
    plain.start()
    with Server("plain", plain.port) as server:
        status, problem = server.call("POST", "/admin/mail/test", {"to": "you@example.com"}, server.token)
        assert status == 502, problem
        assert plain.handler.mails == []
    plain.stop()


def a_second_server_takes_what_the_first_does_not(_):
    """Both with encryption and a password; the first one's password is wrong."""
    first, second = Post(), Post()
    servers = [smtp_server(first), smtp_server(second)]
    fallback = dict(host="localhost", port=servers[1].port, username="steading", password="secret", ca_file=authority_file)
    further = {f"fallback__1__{key}": value for key, value in fallback.items()}
    with Server("further", servers[0].port, **(dict(password="guessed") | further)) as server:
        status, answer = server.call("POST", "/admin/mail/test", {"to": "you@example.com"}, server.token)
        assert (status, answer["server"]) == (200, f"localhost:{servers[1].port}"), answer
        assert len(second.mails) == 1 and not first.mails
        servers[1].stop()
        status, problem = server.call("POST", "/admin/mail/test", {"to": "you@example.com"}, server.token)
        assert status == 502 and "mail.password" in problem["detail"], problem
        assert f"localhost:{servers[1].port}" in problem["detail"], problem
    servers[0].stop()


def whoever_receives_a_mail_can_verify_its_signature(algorithm):
    key = os.path.join(FOLDER, f"{algorithm}.pem")
    options = ["-pkeyopt", "rsa_keygen_bits:2048"] if algorithm == "RSA" else []
    subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, *options, "-out", key], check=True, stderr=subprocess.DEVNULL)
    post = Post()
    smtp = smtp_server(post)
    signing = dict(dkim__domain="example.com", dkim__selector="s1", dkim__key_file=key)
    with Server(f"signed-{algorithm}", smtp.port, **signing) as server:
        record = server.call("GET", "/admin/mail/dkim", token=server.token)[1]
        command = [BINARY, "--data", server.data, "mail", "dkim"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=server.environment).stdout
        assert record["name"] in printed and record["value"] in printed, printed
        server.call("POST", "/auth/register", {"email": "ada@example.com", "password": PASSWORD, "name": "Ada Łovelace"})
        content = post.wait("ada@example.com")[0].content
        asked = []

        def resolve(name, timeout=5):
            asked.append(name)
            return record["value"].encode()

        assert dkim.verify(content, dnsfunc=resolve), content
        assert asked[0].decode().rstrip(".") == record["name"] == "s1._domainkey.example.com", asked
        for before, after in [
            (b"Subject: ", b"Subject: Re: "),
            (b"From: Notes", b"From: Evil"),
            (b"verify-email?token=", b"verify-email?token=x"),
        ]:
            assert before in content, content
            assert not dkim.verify(content.replace(before, after, 1), dnsfunc=resolve), before
        assert not dkim.verify(b"From: evil@example.com\r\n" + content, dnsfunc=resolve), "one more sender"
        assert dkim.verify(content.replace(b"To: ada", b"To:  ada", 1), dnsfunc=resolve), "spaces do not count"
    smtp.stop()


def an_address_that_a_server_does_not_know_gets_nothing_more(_):
    post = Post()
    smtp = smtp_server(post)
    with Server("unknown-address", smtp.port) as server:
        post.unknown["admin@example.com"] = "550 5.1.1 no such mailbox"
        server.call("POST", "/auth/forgot-password", {"email": "admin@example.com"})
        server.job(lambda it: it["state"] == "failed")
        found = server.call("GET", "/admin/mail/suppressions", token=server.token)[1]["data"]
        assert [(it["address"], it["reason"]) for it in found] == [("admin@example.com", "bounce")], found
        # The server was asked once more, on a connection with encryption and a password. Without an enhanced code it said nothing
        # of the receiver.
        post.unknown["you@example.com"] = "550 no"
        server.call("POST", "/admin/mail/test", {"to": "you@example.com"}, server.token)
        found = server.call("GET", "/admin/mail/suppressions?address=you@example.com", token=server.token)[1]["data"]
        assert found == [], found
        post.unknown.clear()
        server.call("POST", "/auth/forgot-password", {"email": "admin@example.com"})
        job = server.job(lambda it: it["state"] == "done")
        assert "nothing is sent to admin@example.com" in job["note"], job
    smtp.stop()


for promise, way in [
    (someone_registers_verifies_forgets_and_comes_back, False),
    (someone_registers_verifies_forgets_and_comes_back, True),
    (a_mail_waits_for_a_server_that_is_gone_also_through_a_kill, None),
    (a_server_that_hangs_holds_nobody_up, None),
    (what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_not, None),
    (a_wrong_password_and_an_unknown_certificate_are_named, None),
    (a_server_without_encryption_is_told_nothing, None),
    (a_second_server_takes_what_the_first_does_not, None),
    (whoever_receives_a_mail_can_verify_its_signature, "RSA"),
    (whoever_receives_a_mail_can_verify_its_signature, "ED25519"),
    (an_address_that_a_server_does_not_know_gets_nothing_more, None),
]:
    begun = time.monotonic()
    promise(way)
    print(f"{promise.__name__} {'' if way is None else way} {time.monotonic() - begun:.1f} s", flush=True)
