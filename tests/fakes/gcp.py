# SPDX-License-Identifier: Apache-2.0
"""A strict stand-in for Google Secret Manager (REST) on loopback, for what no emulator does: replies that carry the project's number,
absent empty fields, rights by principal, throttling, stalls, hostile answers, the error texts of the real service, clocks that are
wrong. Standard library only; proved with Google's own clients by tests/conformance/check-gcp-fake.

    with Gcp() as gcp:
        gcp.put("db", "text")                        a new version, 1, 2, ...; text or bytes
        token = gcp.principal("reader", ACCESSOR)    an access token of somebody who has these rights
        gcp.fault("AccessSecretVersion", error=(429, "RESOURCE_EXHAUSTED", "slow down"), times=2)
        gcp.calls("AccessSecretVersion")             the requests that came

Gcp(location="europe-west3") is that location's host: its names have /locations/europe-west3/, and nothing else is there.
"""
import base64
import json
import re
import secrets as random_secrets
import threading
import time
from collections import namedtuple
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote

from gcp_filter import Bad as BadFilter, compile_filter
from gcp_jwt import SCOPE, Bad as BadToken, check_self_signed, is_jwt
from gcp_wire import (HTML, NOT_HERE, Refused, crc32c, drain, enums_as_numbers, etag, masked, number_of, offset_of, perform_fault, refuse, reply,
                      stamp, token_of)

LIST, GET = "secretmanager.secrets.list", "secretmanager.secrets.get"
VERSIONS, VERSION, ACCESS = "secretmanager.versions.list", "secretmanager.versions.get", "secretmanager.versions.access"
ACCESSOR = frozenset({ACCESS})
VIEWER = frozenset({LIST, GET, VERSIONS, VERSION})
ADMIN = ACCESSOR | VIEWER
KNOWN = {"ListSecrets": {"pageSize", "pageToken", "filter"}, "ListSecretVersions": {"pageSize", "pageToken", "filter"}}
FRAME = {"fields", "prettyPrint", "$alt", "alt"}  # system parameters
ROUTE = re.compile(r"/v1/projects/(?P<project>[^/]+)(?:/locations/(?P<location>[^/]+))?"
                   r"(?:/secrets(?:/(?P<secret>[^/]+)(?:/versions(?:/(?P<version>[^/:]+)(?P<access>:access)?)?)?)?|(?P<locations>/locations))")

Call = namedtuple("Call", "op project location secret version query path headers")


class Fault:
    """What happens to the next requests of an operation instead of, or before, the answer."""

    def __init__(self, op, times, what):
        self.op, self.left, self.what = op, times, what


class Principal:
    """`rights` are those in the project, `own` those at single secrets: id -> rights."""

    def __init__(self, name, rights=ADMIN, own=None, person=False):
        self.name, self.rights, self.own, self.person = name, frozenset(rights), own or {}, person


class Token:
    def __init__(self, principal, until=None, scopes=(SCOPE,)):
        self.principal, self.until, self.scopes = principal, until, scopes


class Version:
    def __init__(self, number, data):
        self.number, self.data, self.crc, self.created = number, data, crc32c(data), time.time()
        self.state, self.destroyed, self.more = "ENABLED", None, {}


class Secret:
    def __init__(self, name, serial):
        self.name, self.serial, self.created = name, serial, time.time()
        self.versions = []
        self.aliases, self.more = {}, {}
        self.latest = []  # numbers that the next requests for `latest` find: what has not yet arrived everywhere


class Gcp:
    def __init__(self, project="my-proj", number="123456789012", location=None, port=0, page=None, tls=None, universe="googleapis.com"):
        self.project, self.number, self.location, self.universe = project, number, location, universe
        self.page = page              # entries a page at most, below what is asked for
        self.skew = 0                 # our clock minus the true one, seconds
        self.secrets, self.serial = {}, 0
        self.unlisted = set()         # ids that a listing does not show yet
        self.tokens = {}              # access token -> Token
        self.accounts, self.members = {}, {}  # email -> [Key], email -> Principal
        self.quota_projects = {project}
        self.api_enabled = True
        self.reported = "number"      # how replies call the project: number, or id
        self.faults, self.log = [], []
        self.refusals = []            # why tokens were refused
        self.seen = set()             # bearer tokens that came
        self.connections = 0          # requests of any kind
        self.lock = threading.RLock()
        self.listener(port, tls)

    def listener(self, port, tls):
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece
            disable_nagle_algorithm = True
            gcp = fake
            do_GET = get
            do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = lambda self: (drain(self), reply(self, 404, NOT_HERE, HTML))
            do_CONNECT = lambda self: self.send_error(403)
            log_message = lambda self, *a: None

            def parse_request(self):
                fake.connections += 1
                return BaseHTTPRequestHandler.parse_request(self)

            def date_time_string(self, timestamp=None):
                return BaseHTTPRequestHandler.date_time_string(self, fake.now())

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            handle_error = lambda self, *a: None  # a client that goes away is no news

        self.server = Server(("127.0.0.1", port), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()

    def now(self):
        return time.time() + self.skew

    # --- who there is ---

    def principal(self, name, rights=ADMIN, own=None, token=None, person=False, life=None, scopes=(SCOPE,)):
        """Makes somebody known; returns an access token of theirs."""
        with self.lock:
            self.members[name] = Principal(name, rights, own, person)
        return self.mint(name, life, scopes, token)

    def mint(self, name, life=None, scopes=(SCOPE,), token=None):
        """Another access token of somebody known."""
        token = token or f"ya29.{random_secrets.token_urlsafe(40)}"
        with self.lock:
            self.tokens[token] = Token(self.members[name], None if life is None else time.time() + life, scopes)
        return token

    def account(self, email, key, rights=ADMIN, own=None):
        """A service account that signs its own tokens with this gcp_jwt.Key."""
        with self.lock:
            self.accounts.setdefault(email, []).append(key)
            self.members[email] = Principal(email, rights, own)

    def authenticate(self, headers, service="secretmanager", scopes=(SCOPE,)):
        given = headers.get_all("Authorization") or []
        if not given:
            raise Refused("UNAUTHENTICATED", "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or "
                          "other valid authentication credential.", "CREDENTIALS_MISSING")
        bad = ("Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication "
               "credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.")
        if len(given) != 1 or not re.fullmatch(r"Bearer [\x21-\x7e]+", given[0]):
            raise Refused("UNAUTHENTICATED", bad, "CREDENTIALS_MISSING")
        token = given[0][7:]
        self.seen.add(token)
        if is_jwt(token) and token not in self.tokens:
            try:
                email, held = check_self_signed(token, self.accounts, self.now(), f"https://{service}.{self.universe}/", scopes)
                return Token(self.members[email], scopes=held)
            except BadToken as e:
                self.refusals.append(str(e))
                raise Refused("UNAUTHENTICATED", bad, "ACCESS_TOKEN_TYPE_UNSUPPORTED") from None
        known = self.tokens.get(token)
        if not known:
            self.refusals.append("unknown token")
            raise Refused("UNAUTHENTICATED", bad, "ACCESS_TOKEN_TYPE_UNSUPPORTED")
        if known.until is not None and known.until <= time.time():
            self.refusals.append("expired token")
            raise Refused("UNAUTHENTICATED", bad, "ACCESS_TOKEN_EXPIRED")
        return known

    def admit(self, token, headers):
        """What is asked before rights are."""
        if not {SCOPE} & set(token.scopes):
            raise Refused("PERMISSION_DENIED", "Request had insufficient authentication scopes.", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
        quota = headers.get("X-Goog-User-Project")
        if quota is not None and quota not in self.quota_projects:
            raise Refused("PERMISSION_DENIED", f"Caller does not have required permission to use project {quota}. Grant the caller the "
                          "roles/serviceusage.serviceUsageConsumer role.", "USER_PROJECT_DENIED", consumer=f"projects/{quota}")
        if not self.api_enabled or (token.principal.person and quota is None):
            raise Refused("PERMISSION_DENIED", "Secret Manager API has not been used in project "
                          f"{self.number if quota or not token.principal.person else '764086051850'} before or it is disabled.",
                          "SERVICE_DISABLED", service="secretmanager.googleapis.com")

    def may(self, token, right, call):
        held = token.principal.rights | token.principal.own.get(call.secret, frozenset())
        if right in held and call.project in (self.project, self.number):
            return
        what = call.path.split("?")[0][len("/v1/"):].removesuffix(":access")
        text = (f"Permission '{right}' denied for resource '{what}' (or it may not exist)." if call.secret else
                f"Permission '{right}' denied for resource '//secretmanager.googleapis.com/{what.removesuffix('/secrets')}' (or it may not exist).")
        raise Refused("PERMISSION_DENIED", text, "IAM_PERMISSION_DENIED", permission=right, resource=what)

    # --- what there is ---

    def put(self, name, value, **more):
        """A new version; `more` are further members of the secret's description."""
        with self.lock:
            s = self.empty(name, **more) if name not in self.secrets else self.secrets[name]
            s.more.update(more)
            s.versions.append(Version(len(s.versions) + 1, value if isinstance(value, bytes) else value.encode()))
            return len(s.versions)

    def empty(self, name, **more):
        """A secret without any version."""
        with self.lock:
            self.serial += 1
            s = self.secrets[name] = Secret(name, self.serial)
            s.more.update(more)
            return s

    def remove(self, name):
        with self.lock:
            del self.secrets[name]

    def state(self, name, number, state):
        with self.lock:
            v = self.secrets[name].versions[number - 1]
            v.state = state
            if state == "DESTROYED":
                v.data, v.destroyed = None, time.time()

    def fault(self, op="", times=1, **what):
        """error=(code, status, message[, reason[, details]]), raw=(status, headers, body), stall=seconds, cut=True, short=bytes too few,
        answer=dict|text, skip=n, secret=only that one"""
        with self.lock:
            self.faults.append(Fault(op, times, what))

    def calls(self, op=None, secret=None):
        with self.lock:
            return [c for c in self.log if op in (None, c.op) and secret in (None, c.secret)]

    def forget(self):
        with self.lock:
            self.log.clear()
            self.refusals.clear()

    def take_fault(self, call):
        with self.lock:
            for f in self.faults:
                if f.op not in ("", call.op) or f.what.get("secret", call.secret) != call.secret:
                    continue
                if f.what.get("skip", 0) > 0:
                    f.what["skip"] -= 1
                    continue
                f.left -= 1
                if f.left <= 0:
                    self.faults.remove(f)
                return f.what
        return None

    # --- replies ---

    def parent(self):
        here = f"/locations/{self.location}" if self.location else ""
        return f"projects/{self.number if self.reported == 'number' else self.project}{here}"

    def shown_secret(self, s):
        e = {"name": f"{self.parent()}/secrets/{s.name}", "createTime": stamp(s.created, s.serial), "etag": etag(s.name, s.serial)}
        if not self.location:
            e["replication"] = {"automatic": {}}
        if s.aliases:
            e["versionAliases"] = {a: str(n) for a, n in s.aliases.items()}
        return {**e, **s.more}

    def shown_version(self, s, v):
        e = {"name": f"{self.parent()}/secrets/{s.name}/versions/{v.number}", "createTime": stamp(v.created, v.number), "state": v.state,
             "etag": etag(s.name, v.number, v.state), "clientSpecifiedPayloadChecksum": True}
        if not self.location:
            e["replicationStatus"] = {"automatic": {}}
        if v.destroyed:
            e["destroyTime"] = stamp(v.destroyed, v.number)
        return {**e, **v.more}

    # --- operations ---

    def pages(self, call, items, key):
        size = number_of(call.query.get("pageSize", "0"))
        size = min(size or 25000, 25000, self.page or 25000)
        bound = repr((call.path.split("?")[0], call.query.get("filter"), call.query.get("pageSize")))
        start = offset_of(call.query.get("pageToken", ""), bound)
        part = items[start:start + size]
        answer = {key: part} if part else {}
        if start + size < len(items):
            answer["nextPageToken"] = token_of(start + size, bound)
        if not call.query.get("filter") and items:
            answer["totalSize"] = len(items)
        return answer

    @staticmethod
    def filtered(call, items):
        try:
            return list(filter(compile_filter(call.query.get("filter", "")), items))
        except BadFilter as e:
            raise Refused("INVALID_ARGUMENT", f"Invalid filter: {e}") from None

    def ListSecrets(self, call):
        newest = sorted((s for s in self.secrets.values() if s.name not in self.unlisted), key=lambda s: -s.serial)
        return self.pages(call, self.filtered(call, [self.shown_secret(s) for s in newest]), "secrets")

    def find(self, call, what="not found."):
        s = self.secrets.get(call.secret)
        if not s or expired(s):
            raise Refused("NOT_FOUND", f"Secret [{self.parent()}/secrets/{call.secret}] {what}")
        return s

    def GetSecret(self, call):
        return self.shown_secret(self.find(call))

    def ListSecretVersions(self, call):
        s = self.find(call)
        return self.pages(call, self.filtered(call, [self.shown_version(s, v) for v in reversed(s.versions)]), "versions")

    def version_of(self, call):
        s = self.find(call, "not found or has no versions.")
        number = call.version
        if number == "latest":
            if not s.versions:
                raise Refused("NOT_FOUND", f"Secret [{self.parent()}/secrets/{s.name}] not found or has no versions.")
            number = s.latest.pop(0) if s.latest else len(s.versions)
        elif not number.isdigit():
            number = s.aliases.get(number, 0)
        if not 1 <= int(number) <= len(s.versions):
            raise Refused("NOT_FOUND", f"Secret Version [{self.parent()}/secrets/{s.name}/versions/{call.version}] not found.")
        return s, s.versions[int(number) - 1]

    def GetSecretVersion(self, call):
        return self.shown_version(*self.version_of(call))

    def AccessSecretVersion(self, call):
        s, v = self.version_of(call)
        name = f"{self.parent()}/secrets/{s.name}/versions/{v.number}"
        if v.state != "ENABLED":
            raise Refused("FAILED_PRECONDITION", f"Secret Version [{name}] is in {v.state} state.")
        payload = {"data": base64.b64encode(v.data).decode()} if v.data else {}
        return {"name": name, "payload": {**payload, "dataCrc32c": str(v.crc)}}

    def ListLocations(self, call):
        return {"locations": [{"name": f"{self.parent()}/locations/europe-west3", "locationId": "europe-west3"}]}


RIGHTS = {"ListSecrets": LIST, "GetSecret": GET, "ListSecretVersions": VERSIONS, "GetSecretVersion": VERSION, "AccessSecretVersion": ACCESS,
          "ListLocations": GET}


def expired(s):
    """A secret whose time is over is gone."""
    until = s.more.get("expireTime")
    return until is not None and datetime.fromisoformat(until.replace("Z", "+00:00")).timestamp() <= time.time()


# --- HTTP ---------------------------------------------------------------------------------------------------------------------

def operation(m):
    if m["locations"]:
        return "ListLocations"
    if m["access"]:
        return "AccessSecretVersion"
    if m["version"]:
        return "GetSecretVersion"
    if m.string.endswith("/versions"):
        return "ListSecretVersions"
    return "GetSecret" if m["secret"] else "ListSecrets" if m.string.endswith("/secrets") else None


def read_call(handler):
    """The request, or None if no such path is routed."""
    path, _, query = handler.path.partition("?")
    m = ROUTE.fullmatch(unquote(path))
    op = operation(m) if m else None
    if not op:
        return None
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    return Call(op, m["project"], m["location"], m["secret"], m["version"], dict(pairs), handler.path, handler.headers), pairs


def check_form(gcp, call, pairs, handler):
    """What is refused for its form, whoever asks."""
    for name, _ in pairs:
        if name not in KNOWN.get(call.op, set()) | FRAME:
            raise Refused("INVALID_ARGUMENT", f"Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' "
                          "could not be found in request message.")
    if len(call.query) != len(pairs):
        raise Refused("INVALID_ARGUMENT", "a parameter twice")
    if int(handler.headers.get("Content-Length", 0)):
        raise Refused("INVALID_ARGUMENT", "a body")
    kind = "projects/*/locations/*" if gcp.location else "projects/*"
    what = call.path.split("?")[0][len("/v1/"):].removesuffix(":access")
    if call.op != "ListLocations" and call.location != gcp.location:
        tail = "/secrets/*/versions/*" if call.version else "/secrets/*" if call.secret else ""
        raise Refused("INVALID_ARGUMENT", f"The provided resource name [{what}] does not match the expected format [{kind}{tail}].")
    if call.secret and not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", call.secret):
        raise Refused("INVALID_ARGUMENT", f"Resource ID [{call.secret}] is not in a valid format.")
    if call.version and not re.fullmatch(r"[1-9][0-9]{0,18}|[A-Za-z][A-Za-z0-9_-]{0,62}", call.version):
        raise Refused("INVALID_ARGUMENT", f"The provided Secret Version ID [{what}] does not match the expected format "
                      f"[{kind}/secrets/*/versions/*].")


def serve(handler, gcp, call, pairs):
    with gcp.lock:
        gcp.log.append(call)
        token = gcp.authenticate(call.headers)
    what = gcp.take_fault(call)
    if what and perform_fault(handler, what):
        return
    with gcp.lock:
        check_form(gcp, call, pairs, handler)
        gcp.admit(token, call.headers)
        gcp.may(token, RIGHTS[call.op], call)
        answer = getattr(gcp, call.op)(call)
    if "enum-encoding=int" in call.query.get("$alt", ""):
        answer = enums_as_numbers(answer)
    if "fields" in call.query:
        answer = masked(answer, call.query["fields"])
    pretty = call.query.get("prettyPrint", "true") == "true"
    reply(handler, 200, json.dumps(answer, indent=2 if pretty else None, ensure_ascii=False) + ("\n" if pretty else ""))


def get(self):
    try:
        drain(self)
        found = read_call(self)
        if found is None:
            return reply(self, 404, NOT_HERE, HTML)
        serve(self, self.gcp, *found)
    except Refused as e:
        refuse(self, e)
    except ValueError as e:
        refuse(self, Refused("INVALID_ARGUMENT", f"query: {e}"))
    except (BrokenPipeError, ConnectionResetError):
        self.close_connection = True
