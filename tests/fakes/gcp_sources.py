# SPDX-License-Identifier: Apache-2.0
"""Where credentials for Google Cloud come from, on loopback: the token endpoint (service accounts, users), STS, iamcredentials, the
metadata server, a url that gives subject tokens, and the instance metadata of AWS. The access tokens they give are made known to the
stand-in of tests/fakes/gcp.py.

    with Gcp() as gcp, Sources(gcp) as src:
        src.url + "/token"              token_uri; "/v1/token" token_url; f"/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"
        src.host                        GCE_METADATA_HOST, GCE_METADATA_IP
        src.life = 3                    seconds that the next tokens live
        src.metadata = "html"           google, html, redirect, huge, gone, gke, old
        src.fault("sts", error=(400, "invalid_grant", "expired"))
        src.asked("sts")                what came, oldest first: token refresh sts user-sts impersonate metadata subject aws
"""
import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from aws import digest
from gcp_jwt import SCOPE, Bad, check_assertion
from gcp_wire import Refused, refuse, reply, stamp

IAM_SCOPE = "https://www.googleapis.com/auth/iam"
EXCHANGE, ACCESS_TOKEN = "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE, ID_TYPE = "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"
AWS_TYPE = "urn:ietf:params:aws:token-type:aws4_request"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool/providers/prov"
FLAVOR = ("Metadata-Flavor", "Google")


class OAuth(Exception):
    def __init__(self, status, error, description=None, subtype=None):
        self.status, self.error, self.description, self.subtype = status, error, description, subtype

    def body(self):
        e = {"error": self.error, "error_description": self.description, "error_subtype": self.subtype}
        return json.dumps({k: v for k, v in e.items() if v is not None})


class Sources:
    def __init__(self, gcp, port=0):
        self.gcp = gcp
        self.life = 3600
        self.expires_as = int         # or str: expires_in comes as either
        self.users = {}               # refresh token -> (client id, client secret, name of a principal)
        self.rotate = False           # a refresh gives a new refresh token, and the old one is over
        self.audience, self.subjects = AUDIENCE, set()  # subject tokens that STS takes
        self.federated = None         # name of the principal that STS gives tokens for
        self.basic = None             # (client id, client secret) that STS wants
        self.aws_keys = {}            # id -> (secret, session token) that the AWS subject token may be signed with
        self.aws_region = "us-east-2"
        self.resign = None            # another implementation's opinion of a signature: fn(request) -> signature
        self.impersonators = {}       # email -> names of those who may have its tokens
        self.longest = 3600           # lifetime of an impersonated token at most
        self.fraction = 2             # which spelling of expireTime, see stamp()
        self.metadata, self.universe = "google", None
        self.attached = None          # email of the machine's account
        self.kept = None              # the metadata server's token and its end
        self.subject_headers, self.subject = {}, ""
        self.faults, self.log = [], []
        self.lock = threading.RLock()
        sources = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True
            src = sources
            do_GET = do_PUT = do_POST = do_HEAD = answer
            log_message = lambda self, *a: None

            def date_time_string(self, timestamp=None):
                return BaseHTTPRequestHandler.date_time_string(self, sources.gcp.now())

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            handle_error = lambda self, *a: None

        self.server = Server(("127.0.0.1", port), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"
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

    def fault(self, op, times=1, **what):
        """error=(status, error[, description[, subtype]]) in the words of OAuth, raw=(status, headers, body), stall=seconds, cut=True"""
        with self.lock:
            self.faults.append([op, times, what])

    def always(self, op, **what):
        """From now on nothing else happens; in place of what was to happen."""
        with self.lock:
            self.faults = [f for f in self.faults if f[0] != op] + [[op, 10**9, what]]

    def take_fault(self, op):
        with self.lock:
            for f in self.faults:
                if f[0] == op:
                    f[1] -= 1
                    if f[1] <= 0:
                        self.faults.remove(f)
                    return f[2]
        return {}

    def member(self, name):
        with self.gcp.lock:
            if name not in self.gcp.members:
                raise OAuth(400, "invalid_grant", "Invalid grant: account not found")
        return name

    def mint(self, name, scopes):
        return self.gcp.mint(self.member(name), self.life, scopes)

    def access(self, name, scopes, **more):
        return {"access_token": self.mint(name, scopes), "expires_in": self.expires_as(self.life), "token_type": "Bearer", **more}


# --- the token endpoint -------------------------------------------------------------------------------------------------------

def by_assertion(h, src, form):
    src.note("token", form)
    play_fault(h, src, "token")
    exactly(form, "grant_type", "assertion")
    try:
        email, scope = check_assertion(form["assertion"], src.gcp.accounts, src.gcp.now())
    except Bad as e:
        raise OAuth(400, "invalid_grant", str(e)) from None
    return src.access(email, scope.split(" "))


def user_of(src, refresh, ident, secret):
    known = src.users.get(refresh)
    if not known or known[0] != ident:
        raise OAuth(400, "invalid_grant", "Token has been expired or revoked.")
    if known[1] != secret:
        raise OAuth(401, "invalid_client", "The provided client secret is invalid.")
    return known


def renewed(src, refresh, known):
    """A member of the answer if the refresh token changes."""
    if not src.rotate:
        return {}
    new = refresh.split("#")[0] + f"#{time.monotonic_ns()}"
    del src.users[refresh]
    src.users[new] = known
    return {"refresh_token": new}


def by_refresh(h, src, form):
    src.note("refresh", form)
    play_fault(h, src, "refresh")
    exactly(form, "grant_type", "client_id", "client_secret", "refresh_token", may=("scope",))
    known = user_of(src, form["refresh_token"], form["client_id"], form["client_secret"])
    return src.access(known[2], [SCOPE], scope=f"{SCOPE} openid", id_token="e30.e30.e30", **renewed(src, form["refresh_token"], known))


def by_user_of_workforce(h, src, form):
    """external_account_authorized_user: who the client is comes in Authorization."""
    src.note("user-sts", form)
    play_fault(h, src, "user-sts")
    exactly(form, "grant_type", "refresh_token", may=("scope",))
    ident, secret = basic(h) or ("", "")
    known = user_of(src, form["refresh_token"], ident, secret)
    return src.access(known[2], [SCOPE], **renewed(src, form["refresh_token"], known))


# --- STS ----------------------------------------------------------------------------------------------------------------------

def basic(h):
    given = h.headers.get("Authorization", "")
    if not given:
        return None
    if not given.startswith("Basic "):
        raise OAuth(401, "invalid_client", "Authorization")
    return tuple(unquote(x) for x in base64.b64decode(given[6:], validate=True).decode().split(":", 1))


def exchange(h, src, form):
    src.note("sts", form)
    play_fault(h, src, "sts")
    exactly(form, "grant_type", "audience", "scope", "requested_token_type", "subject_token_type", "subject_token", may=("options",))
    if form["audience"] != src.audience:
        raise OAuth(400, "invalid_target", "The target service indicated by the \"audience\" parameters is invalid.")
    if form["requested_token_type"] != ACCESS_TOKEN:
        raise OAuth(400, "invalid_request", "requested_token_type")
    if form["scope"] not in (SCOPE, IAM_SCOPE):
        raise OAuth(400, "invalid_scope", form["scope"])
    if basic(h) != src.basic:
        raise OAuth(401, "invalid_client", "client authentication")
    if "options" in form and set(json.loads(form["options"])) != {"userProject"}:
        raise OAuth(400, "invalid_request", "options")
    if form["subject_token_type"] == AWS_TYPE:
        check_aws_token(src, form["subject_token"])
    elif form["subject_token_type"] not in (JWT_TYPE, ID_TYPE):
        raise OAuth(400, "invalid_request", f"subject_token_type {form['subject_token_type']}")
    elif form["subject_token"] not in src.subjects:
        raise OAuth(400, "invalid_grant", "The given credential is rejected by the attribute condition.")
    return src.access(src.federated, [form["scope"]], issued_token_type=ACCESS_TOKEN)


def check_aws_token(src, text):
    """The second decoding: the form's was the first. Then the signature of the request that the token is."""
    if re.search(r"[^A-Za-z0-9%._~*+/-]", text):
        raise OAuth(400, "invalid_request", "the AWS token is not percent-encoded")
    try:
        token = json.loads(unquote(text))
        pairs = [(x["key"].lower(), x["value"]) for x in token["headers"]]
    except (ValueError, KeyError, TypeError):
        raise OAuth(400, "invalid_request", "the AWS token is no JSON") from None
    headers = dict(pairs)
    want = f"https://sts.{src.aws_region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
    if set(token) != {"url", "method", "headers"} or token["method"] != "POST" or token["url"] != want or len(pairs) != len(headers):
        raise OAuth(400, "invalid_request", "the AWS token is another request")
    if headers.get("host") != f"sts.{src.aws_region}.amazonaws.com" or headers.get("x-goog-cloud-target-resource") != src.audience:
        raise OAuth(400, "invalid_request", "headers of the AWS token")
    why = aws_signature_problem(src, token, headers)
    if why:
        raise OAuth(400, "invalid_grant", f"Received invalid AWS response of type SenderException: {why}")


def aws_signature_problem(src, token, h):
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/sts/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?"
                     r"Signature=([0-9a-f]{64})", h.get("authorization", ""))
    if not m:
        return "Authorization"
    key, date, region, names, given = m.groups()
    secret, session = src.aws_keys.get(key, (None, None))
    if secret is None or h.get("x-amz-security-token") != session or region != src.aws_region or date != h["x-amz-date"][:8]:
        return "key, session token or scope"
    names = names.split(";")
    if names != sorted(names) or not {"host", "x-amz-date"} | ({"x-amz-security-token"} if session else set()) <= set(names):
        return "SignedHeaders"
    at = datetime.strptime(h["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
    if abs(at - src.gcp.now()) > 900:
        return "Signature expired"
    query = "&".join(sorted(urlsplit(token["url"]).query.split("&")))
    canonical = "\n".join(["POST", "/", query, *(f"{n}:{' '.join(h[n].split())}" for n in names), "", ";".join(names), hashlib.sha256(b"").hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", h["x-amz-date"], f"{date}/{region}/sts/aws4_request", hashlib.sha256(canonical.encode()).hexdigest()])
    signing = ("AWS4" + secret).encode()
    for part in (date, region, "sts", "aws4_request"):
        signing = digest(signing, part)
    if digest(signing, text).hex() != given:
        return "SignatureDoesNotMatch"
    if src.resign and src.resign(token["url"], {n: h[n] for n in names}, (key, secret), region) != given:
        return "another implementation signs otherwise"
    return None


# --- iamcredentials -----------------------------------------------------------------------------------------------------------

def impersonate(h, src, email, body):
    src.note("impersonate", {"email": email, **body})
    play_fault(h, src, "impersonate")
    token = src.gcp.authenticate(h.headers, "iamcredentials", (IAM_SCOPE, SCOPE))
    if not {SCOPE, IAM_SCOPE} & set(token.scopes):
        raise Refused("PERMISSION_DENIED", "Request had insufficient authentication scopes.", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    if email not in src.gcp.members:
        raise Refused("NOT_FOUND", "Unknown service account")
    if token.principal.name not in src.impersonators.get(email, ()):
        raise Refused("PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
                      "IAM_PERMISSION_DENIED", domain="iam.googleapis.com", permission="iam.serviceAccounts.getAccessToken")
    life = re.fullmatch(r"(\d+)s", body.get("lifetime", "3600s"))
    if not life or not 0 < int(life[1]) <= src.longest:
        raise Refused("INVALID_ARGUMENT", "The requested lifetime is not allowed.")
    if set(body) - {"delegates", "scope", "lifetime"} or not isinstance(body.get("scope"), list) or not isinstance(body.get("delegates") or [], list):
        raise Refused("INVALID_ARGUMENT", "Invalid JSON payload received.")
    seconds = min(int(life[1]), src.life)
    access = src.gcp.mint(email, seconds, body["scope"])
    return {"accessToken": access, "expireTime": stamp(src.gcp.now() + seconds, src.fraction)}


# --- metadata of Google and of AWS --------------------------------------------------------------------------------------------

def odd_metadata(h, src):
    """True if it answered as something that is no metadata server of Google's."""
    if src.metadata == "html":
        reply(h, 200, "<html><body>welcome to the captive portal</body></html>", "text/html")
    elif src.metadata == "redirect":
        reply(h, 302, "", extra=[("Location", f"{src.url}/elsewhere"), FLAVOR])
    elif src.metadata == "huge":
        reply(h, 200, "x" * (1 << 20), extra=[FLAVOR])
    elif src.metadata == "old":  # another cloud's: 404 for all
        reply(h, 404, "not found", "text/plain")
    else:
        return False
    return True


def machine_token(src, scopes):
    """The same one until five minutes before its end."""
    with src.lock:
        if not src.kept or src.kept[1] - time.time() < 300 or src.kept[2] != scopes:
            src.kept = (src.mint(src.attached, scopes or [SCOPE]), time.time() + src.life, scopes)
        return json.dumps({"access_token": src.kept[0], "expires_in": src.expires_as(int(src.kept[1] - time.time())), "token_type": "Bearer"})


def service_account(h, src, what, query):
    if src.metadata == "gone" or not src.attached:
        return reply(h, 404, "<title>Error 404 (Not Found)!!1</title>", "text/html", [FLAVOR])
    text = "application/text"
    if what == "/token" and src.metadata == "gke":
        return reply(h, 403, 'Unable to generate access token; IAM returned 403 Forbidden: Permission \'iam.serviceAccounts.getAccessToken\' denied '
                     'on resource (or it may not exist).', text, [FLAVOR])
    if what == "/token":
        return reply(h, 200, machine_token(src, query["scopes"].split(",") if "scopes" in query else None), "application/json", [FLAVOR])
    if what == "/email":
        return reply(h, 200, src.attached, text, [FLAVOR])
    if what == "/" and query.get("recursive") == "true":
        return reply(h, 200, json.dumps({"aliases": ["default"], "email": src.attached, "scopes": [SCOPE]}), "application/json", [FLAVOR])
    return reply(h, 404, "not found", text, [FLAVOR])


def google_metadata(h, src, path, query):
    src.note("metadata", (path, query, h.headers))
    if odd_metadata(h, src):
        return
    if h.headers.get("X-Forwarded-For") or (path != "/" and h.headers.get("Metadata-Flavor") != "Google"):
        return reply(h, 403, "<html><body>Missing Metadata-Flavor:Google header.</body></html>", "text/html", [FLAVOR])
    play_fault(h, src, "metadata" + path.rpartition("/")[2])
    account = re.fullmatch(r"/computeMetadata/v1/instance/service-accounts/(?:default|[^/]+@[^/]+)(/\w*)", path)
    texts = {"/computeMetadata/v1/project/project-id": src.gcp.project, "/computeMetadata/v1/project/numeric-project-id": src.gcp.number,
             "/computeMetadata/v1/universe/universe-domain": src.universe, "/computeMetadata/v1/universe/universe_domain": src.universe,
             "/": "computeMetadata/\n", "/computeMetadata/v1/instance": "", "/computeMetadata/v1/": "instance/\nproject/\n"}
    if account:
        service_account(h, src, account[1], query)
    elif texts.get(path) is not None:
        reply(h, 200, texts[path], "application/text", [FLAVOR])
    else:
        reply(h, 404, "not found", "text/html", [FLAVOR])


def aws_metadata(h, src, path):
    src.note("aws", (h.command, path))
    session = "aws-metadata-session"
    key = next(iter(src.aws_keys), "")
    texts = {"/latest/meta-data/placement/availability-zone": src.aws_region + "b", "/latest/meta-data/iam/security-credentials": "web-role",
             "/latest/meta-data/iam/security-credentials/": "web-role"}
    if h.command == "PUT":
        fit = path == "/latest/api/token" and h.headers.get("X-aws-ec2-metadata-token-ttl-seconds") == "300"
        reply(h, 200 if fit else 400, session if fit else "", "text/plain")
    elif h.headers.get("X-aws-ec2-metadata-token") != session:
        reply(h, 401, "", "text/plain")
    elif path.endswith("/web-role"):
        secret, token = src.aws_keys[key]
        reply(h, 200, json.dumps({"Code": "Success", "AccessKeyId": key, "SecretAccessKey": secret, "Token": token}))
    else:
        reply(h, 200 if path in texts else 404, texts.get(path, ""), "text/plain")


def subject(h, src):
    src.note("subject", h.headers)
    play_fault(h, src, "subject")
    fit = all(h.headers.get(k) == v for k, v in src.subject_headers.items())
    reply(h, 200 if fit else 403, src.subject if fit else "", "text/plain")


# --- HTTP ---------------------------------------------------------------------------------------------------------------------

class Done(Exception):
    pass


def exactly(form, *must, may=()):
    missing, more = set(must) - set(form), set(form) - set(must) - set(may)
    if missing or more or not all(form.values()):
        raise OAuth(400, "invalid_request", f"missing: {sorted(missing)}, unknown: {sorted(more)}")


def play_fault(h, src, op):
    what = src.take_fault(op)
    if what.get("stall"):
        time.sleep(what["stall"])
    if what.get("cut"):
        h.close_connection = True
        h.connection.close()
        raise Done
    if "error" in what:
        raise OAuth(*what["error"])
    if "raw" in what:
        status, headers, body = what["raw"]
        reply(h, status, body, dict(headers).get("Content-Type", "application/json"), [x for x in headers if x[0] != "Content-Type"])
        raise Done


def form_of(h, body):
    if h.headers.get("Content-Type", "").split(";")[0] != "application/x-www-form-urlencoded":
        raise OAuth(400, "invalid_request", f"Content-Type {h.headers.get('Content-Type')}")
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    if len(dict(pairs)) != len(pairs):
        raise OAuth(400, "invalid_request", "a parameter twice")
    return dict(pairs)


GRANTS = {("/token", BEARER): by_assertion, ("/token", "refresh_token"): by_refresh, ("/v1/token", EXCHANGE): exchange,
          ("/v1/oauthtoken", "refresh_token"): by_user_of_workforce}


def post(h, src, path, body):
    m = re.fullmatch(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken", path)
    if m:
        return reply(h, 200, json.dumps(impersonate(h, src, unquote(m[1]), json.loads(body))))
    form = form_of(h, body)
    grant = GRANTS.get((path, form.get("grant_type")))
    if not grant:
        src.note("elsewhere", path)
        raise OAuth(400, "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}")
    return reply(h, 200, json.dumps(grant(h, src, form)))


def ask(h, src):
    path, _, query = h.path.partition("?")
    body = h.rfile.read(int(h.headers.get("Content-Length", 0)))
    if h.command == "POST":
        post(h, src, path, body)
    elif path == "/" or path.startswith("/computeMetadata"):
        google_metadata(h, src, path, dict(parse_qsl(query, keep_blank_values=True)))
    elif path.startswith("/latest/"):
        aws_metadata(h, src, path)
    elif path == "/subject":
        subject(h, src)
    else:
        src.note("elsewhere", path)
        reply(h, 404, "", "text/html")


def answer(self):
    with contextlib.suppress(Done):
        try:
            ask(self, self.src)
        except OAuth as e:
            reply(self, e.status, e.body())
        except Refused as e:
            refuse(self, e)
        except ValueError as e:
            reply(self, 400, OAuth(400, "invalid_request", str(e)).body())
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as e:  # of this stand-in: whoever looks at the answer shall see it
            reply(self, 500, OAuth(500, "internal_failure", f"{type(e).__name__}: {e}").body())
            raise
