# SPDX-License-Identifier: Apache-2.0
"""Where credentials for AWS come from, on loopback: instance metadata, a container's credential service, STS for roles. The keys
they give are made known to the stand-in of tests/fakes/aws.py, so that only who uses the newest set in one piece gets in.

    with Aws() as aws, Sources(aws) as src:
        src.url                      AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_ENDPOINT_URL_STS
        src.life = 3                 seconds that the next sets live
        src.metadata = "html"        v2, v1, html, redirect, huge, slow, gone
        src.asked("AssumeRole")      what came, oldest first
"""
import itertools
import json
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

ROLES = "/latest/meta-data/iam/security-credentials/"
TOKEN = "metadata-session-token"


class Sources:
    def __init__(self, aws, secret="secret"):
        self.aws, self.secret = aws, secret
        self.life, self.metadata, self.token = 3600, "v2", None
        self.log, self.serial, self.lock = [], itertools.count(1), threading.Lock()
        sources = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            src = sources
            do_GET = do_PUT = do_POST = answer
            log_message = lambda self, *a: None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, what):
        with self.lock:
            return [x for op, x in self.log if op == what]

    def note(self, op, x):
        with self.lock:
            self.log.append((op, x))

    def keys(self):
        """A new set; no other is good from now on."""
        n = next(self.serial)
        ident, secret, token = f"ASIAEXAMPLE{n:09}", f"{self.secret}-{n}", f"token-{self.secret}-{n}"
        until = datetime.fromtimestamp(time.time() + self.life, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self.aws.lock:
            self.aws.keys = {ident: (secret, token)}
        return ident, secret, token, until


def send(h, status, text, headers=()):
    data = text.encode()
    h.send_response(status)
    for name, value in headers:
        h.send_header(name, value)
    h.send_header("Content-Length", str(len(data)))
    h.end_headers()
    h.wfile.write(data)


def odd_metadata(h, src):
    """True if it answered as something that is no metadata service."""
    if src.metadata == "html":
        send(h, 200, "<html><body>welcome to the captive portal</body></html>")
    elif src.metadata == "redirect":
        send(h, 302, "", [("Location", f"{src.url}/elsewhere")])
    elif src.metadata == "huge":
        send(h, 200, "x" * (1 << 20))
    elif src.metadata == "slow":
        time.sleep(4)
        send(h, 200, TOKEN)
    elif src.metadata == "gone" or (src.metadata == "v1" and h.command == "PUT"):
        send(h, 404, "not found")
    else:
        return False
    return True


def json_keys(src):
    ident, secret, token, until = src.keys()
    return json.dumps({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": ident, "SecretAccessKey": secret, "Token": token,
                       "Expiration": until})


def serve_metadata(h, src):
    src.note("metadata", (h.command, h.path))
    if odd_metadata(h, src):
        return
    if h.command == "PUT":
        fit = h.path == "/latest/api/token" and h.headers.get("X-aws-ec2-metadata-token-ttl-seconds") == "21600"
        send(h, 200 if fit else 400, TOKEN if fit else "")
    elif src.metadata == "v2" and h.headers.get("X-aws-ec2-metadata-token") != TOKEN:
        send(h, 401, "")
    elif h.path == ROLES:
        send(h, 200, "web-role")
    elif h.path == ROLES + "web-role":
        send(h, 200, json_keys(src))
    elif h.path == "/latest/meta-data/placement/region":
        send(h, 200, src.aws.region)
    else:
        send(h, 404, "")


def serve_container(h, src):
    src.note("container", h.headers.get("Authorization"))
    if src.token is not None and h.headers.get("Authorization") != src.token:
        send(h, 401, '{"code":"AccessDenied","message":"wrong token"}')
    else:
        send(h, 200, json_keys(src))


def serve_sts(h, src):
    asked = {k: v[0] for k, v in parse_qs(h.rfile.read(int(h.headers.get("Content-Length", 0))).decode()).items()}
    op = asked.get("Action", "?")
    src.note(op, dict(asked, authorization=h.headers.get("Authorization")))
    ident, secret, token, until = src.keys()
    role = asked.get("RoleArn", "").replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
    send(h, 200, f'<{op}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{op}Result><AssumedRoleUser><Arn>{role}/s</Arn>'
                 f"</AssumedRoleUser><Credentials><SessionToken>{token}</SessionToken><SecretAccessKey>{secret}</SecretAccessKey>"
                 f"<Expiration>{until}</Expiration><AccessKeyId>{ident}</AccessKeyId></Credentials></{op}Result></{op}Response>",
         [("Content-Type", "text/xml")])


def answer(self):
    try:
        if self.command == "POST":
            serve_sts(self, self.src)
        elif self.path.startswith("/latest/"):
            serve_metadata(self, self.src)
        elif self.path == "/container":
            serve_container(self, self.src)
        else:
            self.src.note("elsewhere", self.path)
            send(self, 404, "")
    except (BrokenPipeError, ConnectionResetError):
        self.close_connection = True
