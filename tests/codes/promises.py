"""What second factors promise, with the codes of another program: oathtool.

Usage: promises.py BINARY FOLDER
"""
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

BINARY, FOLDER = sys.argv[1:3]
EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
STEP = 30


class Server:
    """The real server on a port that the system chose."""

    def __init__(self):
        settings = {"STEADING__ACCOUNTS__HASH_MEMORY_KIB": "8192", "STEADING__ACCOUNTS__HASH_ITERATIONS": "1"}
        command = [BINARY, "--data", os.path.join(FOLDER, "data"), "serve", "--listen", "127.0.0.1:0"]
        log = open(os.path.join(FOLDER, "log"), "w")
        self.process = subprocess.Popen(
            command, cwd=FOLDER, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=log, text=True
        )
        for line in self.process.stdout:
            if line.strip().startswith("listens"):
                self.url = "http://" + line.split()[1]
                return
        raise SystemExit("the server did not start: " + open(log.name).read())

    def call(self, path, body, token=None):
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = "Bearer " + token
        request = urllib.request.Request(self.url + "/api/v1/auth/" + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def code(secret, at=None):
    """The code that the app shows, now or at a moment."""
    moment = [] if at is None else ["--now", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))]
    return subprocess.check_output(["oathtool", "--totp", "--base32", *moment, secret], text=True).strip()


def fresh_step():
    """Waits for the next half minute if this one is nearly over, so that a code is judged in the one that it was made in."""
    left = STEP - time.time() % STEP
    if left < 5:
        time.sleep(left)


def check(promise, is_kept, told):
    if not is_kept:
        raise SystemExit(f"broken: {promise}: {told}")
    print("ok", promise)


def challenge(server):
    status, answer = server.call("login", {"email": EMAIL, "password": PASSWORD})
    assert status == 200 and answer["mfaRequired"] and "accessToken" not in answer, answer
    return answer["mfaToken"]


def promises(server):
    status, registered = server.call("register", {"email": EMAIL, "password": PASSWORD})
    assert status == 201, registered
    token = registered["accessToken"]
    status, begun = server.call("2fa/enable", {}, token)
    assert status == 200, begun
    secret = begun["secret"]

    fresh_step()
    begun_at = time.time()
    status, answer = server.call("2fa/verify", {"code": code(secret, begun_at - 10 * STEP)}, token)
    check("a code of five minutes ago turns nothing on", status == 403, answer)
    used = code(secret)
    status, verified = server.call("2fa/verify", {"code": used}, token)
    check("a code of another app turns a second factor on", status == 200, verified)
    recovery = verified["recoveryCodes"]

    status, answer = server.call("2fa/challenge", {"mfaToken": challenge(server), "code": used})
    check("a step that was used is not used twice", (status, answer["code"]) == (403, "second-factor-wrong"), answer)

    # A clock that goes half a minute fast: its code is of a step after the one that was used.
    ahead = code(secret, time.time() + STEP)
    mfa = challenge(server)
    status, answer = server.call("2fa/challenge", {"mfaToken": mfa, "code": ahead})
    check("signing in with a code of the next step works", status == 200 and answer["accessToken"], answer)
    status, answer = server.call("2fa/challenge", {"mfaToken": mfa, "code": recovery[0]})
    check("what stands for the password works once", (status, answer["code"]) == (403, "one-time-secret-invalid"), answer)

    for times in range(2):
        status, answer = server.call("2fa/challenge", {"mfaToken": challenge(server), "code": recovery[1].upper()})
        expected = 200 if times == 0 else 403
        check(f"a recovery code works once ({times + 1})", status == expected, answer)

    status, answer = server.call("2fa/disable", {"code": recovery[2]}, token)
    check("a recovery code turns the second factor off", status == 204, answer)
    status, answer = server.call("login", {"email": EMAIL, "password": PASSWORD})
    check("and the password alone signs in again", status == 200 and "accessToken" in answer, answer)


server = Server()
try:
    promises(server)
finally:
    server.stop()
