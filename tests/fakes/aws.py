# SPDX-License-Identifier: Apache-2.0
"""A strict stand-in for Secrets Manager, Parameter Store and STS on loopback, for what no emulator does: throttling, stalls, hostile
answers, the error texts of the real service, clocks that are wrong. Standard library only; proved with boto3 by
tests/conformance/check-fake.

Signatures are checked without mercy: every signed header there exactly once, host, x-amz-date, content-type and all x-amz-* headers
signed, names sorted, the scope that of the service and region asked, the time within five minutes.

    with Aws() as aws:
        aws.put("prod/db", "text")                   a secret; bytes make a SecretBinary
        aws.parameter("/a/b", "value", "SecureString")
        aws.fault("GetSecretValue", error=("ThrottlingException", "slow down"), times=2)
        aws.calls("GetSecretValue")                  the bodies of the requests that came
"""
import base64
import hashlib
import hmac
import json
import re
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

ACCOUNT = "123456789012"
JSON = "application/x-amz-json-1.1"
ALLOWED = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
SERVICES = {"secretsmanager": "secretsmanager", "AmazonSSM": "ssm"}


class Refused(Exception):
    """An answer that is an error of the service."""

    def __init__(self, code, message=None, status=400, style="Message"):
        self.code, self.message, self.status, self.style = code, message, status, style


class Fault:
    """What happens to the next requests of an operation instead of, or before, the answer."""

    def __init__(self, op, times, **what):
        self.op, self.left, self.what = op, times, what


class Secret:
    def __init__(self, name, region):
        self.name = name
        self.arn = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-{hashlib.sha1(name.encode()).hexdigest()[:6]}"
        self.versions = {}  # id -> (value, [stages], created)
        self.created = time.time()
        self.deleted = None
        self.more = {}      # further members of its descriptions


class Parameter:
    def __init__(self, name, region):
        self.name, self.versions = name, []  # (value, type, [labels], modified)
        self.arn = f"arn:aws:ssm:{region}:{ACCOUNT}:parameter{'' if name.startswith('/') else '/'}{name}"


class Aws:
    def __init__(self, region="us-east-1", port=0, page=None, host="127.0.0.1"):
        self.region = region
        self.keys = {"AKIDEXAMPLE": ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)}  # id -> (secret, token)
        self.expired = set()      # ids whose session is over
        self.skew = 0             # our clock minus the true one, seconds
        self.denied = set()       # operations, or (operation, name)
        self.secrets, self.parameters = {}, {}
        self.hidden = set()       # names a listing does not show yet
        self.page = page          # entries a page, below what is asked for
        self.faults, self.log = [], []
        self.regions = {region}   # scopes that are accepted
        self.lock = threading.RLock()
        self.refusals = []        # why signatures were refused
        self.connections = 0      # requests of any kind
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            aws = fake
            do_POST = post
            do_CONNECT = lambda self: self.send_error(403)

            def parse_request(self):
                fake.connections += 1
                return BaseHTTPRequestHandler.parse_request(self)
            log_message = lambda self, *a: None

            def date_time_string(self, timestamp=None):
                return BaseHTTPRequestHandler.date_time_string(self, time.time() + fake.skew)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            handle_error = lambda self, *a: None  # a client that goes away is no news

        self.server = Server((host, port), Handler)
        self.url = f"http://{host}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()

    # --- what there is ---

    def put(self, name, value, version=None, **more):
        """A new current version; the one before becomes AWSPREVIOUS."""
        with self.lock:
            s = self.secrets.setdefault(name, Secret(name, self.region))
            s.more.update(more)
            new = version or str(uuid.uuid4())
            for known, (v, stages, at) in list(s.versions.items()):
                left = [x for x in stages if x not in ("AWSCURRENT", "AWSPREVIOUS")]
                if "AWSCURRENT" in stages:
                    left.append("AWSPREVIOUS")
                s.versions[known] = (v, left, at)
            s.versions[new] = (value, ["AWSCURRENT"], time.time())
            return new

    def empty(self, name):
        """A secret that was created without a value."""
        with self.lock:
            self.secrets[name] = Secret(name, self.region)

    def remove(self, name):
        with self.lock:
            del self.secrets[name]

    def parameter(self, name, value, kind="String", labels=()):
        with self.lock:
            p = self.parameters.setdefault(name, Parameter(name, self.region))
            p.versions.append((value, kind, list(labels), time.time()))
            return len(p.versions)

    def fault(self, op="", times=1, **what):
        """error=(code, message[, status[, style]]), raw=(status, headers, body), stall=seconds, cut=True, answer=dict|text, skip=n"""
        with self.lock:
            self.faults.append(Fault(op, times, **what))

    def calls(self, op=None):
        with self.lock:
            return [body for name, body, _ in self.log if op is None or name == op]

    def headers(self, op=None):
        with self.lock:
            return [h for name, _, h in self.log if op is None or name == op]

    def forget(self):
        with self.lock:
            self.log.clear()
            self.refusals.clear()

    def take_fault(self, op):
        with self.lock:
            for f in self.faults:
                if f.op not in ("", op):
                    continue
                if f.what.get("skip", 0) > 0:
                    f.what["skip"] -= 1
                    continue
                f.left -= 1
                if f.left <= 0:
                    self.faults.remove(f)
                return f.what
        return None

    # --- Secrets Manager ---

    def may(self, action, name=None):
        op = action.split(":")[1]
        if op in self.denied or (op, name) in self.denied:
            what = f"arn:aws:{action.split(':')[0]}:{self.region}:{ACCOUNT}:*" if name is None else name
            raise Refused("AccessDeniedException", f"User: arn:aws:iam::{ACCOUNT}:user/tester is not authorized to perform: {action} "
                          f"on resource: {what} because no identity-based policy allows the {action} action")

    def find(self, given):
        for s in self.secrets.values():
            if given in (s.name, s.arn):
                return s
        if not given.startswith("arn:") and not ALLOWED.fullmatch(given):
            raise Refused("ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the "
                          "following: -/_+=.@!")
        raise Refused("ResourceNotFoundException", "Secrets Manager can’t find the specified secret.")

    def entry(self, s, ids):
        e = {"ARN": s.arn, "Name": s.name, "CreatedDate": round(s.created, 3), "LastChangedDate": round(s.created, 3), "Tags": []}
        if s.versions:
            e[ids] = {i: stages for i, (_, stages, _) in s.versions.items() if stages}
        if s.deleted:
            e["DeletedDate"] = s.deleted
        e.update(s.more)
        return e

    def pages(self, items, body, most):
        size = min(body.get("MaxResults", most), self.page or most)
        token = body.get("NextToken")
        if token is not None and not re.fullmatch(r"t\d+", token):
            raise Refused("InvalidNextTokenException", "The NextToken value is invalid.")
        start = int(token[1:]) if token else 0
        more = {"NextToken": f"t{start + size}"} if start + size < len(items) else {}
        return items[start:start + size], more

    def ListSecrets(self, body):
        self.may("secretsmanager:ListSecrets")
        if not 1 <= body.get("MaxResults", 100) <= 100:
            raise Refused("ValidationException", "MaxResults")
        found = [self.entry(s, "SecretVersionsToStages") for n, s in sorted(self.secrets.items())
                 if n not in self.hidden and (body.get("IncludePlannedDeletion") or not s.deleted)
                 and all(self.matches(s, f) for f in body.get("Filters", []))]
        part, more = self.pages(found, body, 100)
        return {"SecretList": part, **more}

    @staticmethod
    def matches(s, f):
        tags = s.more.get("Tags", [])
        have = {"name": [s.name], "tag-key": [t["Key"] for t in tags], "tag-value": [t["Value"] for t in tags],
                "description": [s.more.get("Description", "")]}.get(f["Key"])
        if have is None:
            raise Refused("ValidationException", f"Invalid filter key {f['Key']}")
        def one(v):
            hit = any(h.startswith(v.lstrip("!")) for h in have)
            return hit != v.startswith("!")
        return any(one(v) for v in f["Values"])

    def version_of(self, s, body):
        vid, stage = body.get("VersionId"), body.get("VersionStage")
        if vid is not None and not 32 <= len(vid) <= 64:
            raise Refused("ValidationException", "Member must have length greater than or equal to 32")
        if s.deleted:
            raise Refused("InvalidRequestException", "You can’t perform this operation on the secret because it was marked for deletion.")
        for i, (value, stages, at) in s.versions.items():
            if (vid or i) == i and (vid and not stage or (stage or "AWSCURRENT") in stages):
                return i, value, stages, at
        if vid and stage and vid in s.versions:
            raise Refused("InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.")
        raise Refused("ResourceNotFoundException", "Secrets Manager can’t find the specified secret value for "
                      + (f"VersionId: {vid}" if vid else f"staging label: {stage or 'AWSCURRENT'}"))

    def value(self, s, body):
        i, value, stages, at = self.version_of(s, body)
        v = {"ARN": s.arn, "Name": s.name, "VersionId": i, "VersionStages": stages, "CreatedDate": round(at, 3)}
        if isinstance(value, bytes):
            return v | {"SecretBinary": base64.b64encode(value).decode()}
        return v | {"SecretString": value}

    def GetSecretValue(self, body):
        self.may("secretsmanager:GetSecretValue", body["SecretId"])
        return self.value(self.find(body["SecretId"]), body)

    def DescribeSecret(self, body):
        self.may("secretsmanager:DescribeSecret", body["SecretId"])
        return self.entry(self.find(body["SecretId"]), "VersionIdsToStages")

    def ListSecretVersionIds(self, body):
        self.may("secretsmanager:ListSecretVersionIds", body["SecretId"])
        s = self.find(body["SecretId"])
        every = [{"VersionId": i, "VersionStages": stages, "CreatedDate": round(at, 3)} for i, (_, stages, at) in s.versions.items()
                 if stages or body.get("IncludeDeprecated")]
        part, more = self.pages(every, body, 100)
        return {"ARN": s.arn, "Name": s.name, "Versions": part, **more}

    def BatchGetSecretValue(self, body):
        self.may("secretsmanager:BatchGetSecretValue")
        ids = body["SecretIdList"]
        if not 1 <= len(ids) <= 20 or "Filters" in body:
            raise Refused("ValidationException", "SecretIdList")
        part, more = self.pages(ids, body, 20)
        values, errors = [], []
        for i in part:
            try:
                self.may("secretsmanager:GetSecretValue", i)
                values.append(self.value(self.find(i), {}))
            except Refused as e:
                errors.append({"SecretId": i, "ErrorCode": e.code, "Message": e.message})
        return {"SecretValues": values[::-1], "Errors": errors, **more}

    # --- Parameter Store ---

    def shown(self, p, number, decrypt, selector=None):
        value, kind, _, at = p.versions[number - 1]
        if kind == "SecureString" and not decrypt:
            value = "AQICAHciphertext" + base64.b64encode(hashlib.sha256(value.encode()).digest()).decode()
        return {"Name": p.name, "Type": kind, "Value": value, "Version": number, "LastModifiedDate": round(at, 3), "ARN": p.arn,
                "DataType": "text", **({"Selector": ":" + selector} if selector else {})}

    def parameter_of(self, given, decrypt):
        name, _, selector = given.rpartition(":") if ":" in given and not given.startswith("arn:") else (given, "", "")
        p = next((p for p in self.parameters.values() if name in (p.name, p.arn)), None)
        if not p:
            raise Refused("ParameterNotFound", None)
        for number in range(len(p.versions), 0, -1):
            if not selector or selector == str(number) or selector in p.versions[number - 1][2]:
                return self.shown(p, number, decrypt, selector)
        raise Refused("ParameterVersionNotFound", f"Systems Manager could not find version {selector} of {name}.")

    def GetParameter(self, body):
        self.may("ssm:GetParameter", body["Name"])
        return {"Parameter": self.parameter_of(body["Name"], body.get("WithDecryption"))}

    def GetParameters(self, body):
        self.may("ssm:GetParameters")
        if not 1 <= len(body["Names"]) <= 10:
            raise Refused("ValidationException", "Member must have length less than or equal to 10")
        found, invalid = [], []
        for n in body["Names"]:
            try:
                found.append(self.parameter_of(n, body.get("WithDecryption")))
            except Refused:
                invalid.append(n)
        return {"Parameters": sorted(found, key=lambda p: p["Name"]), "InvalidParameters": invalid}

    def GetParametersByPath(self, body):
        self.may("ssm:GetParametersByPath")
        if not 1 <= body.get("MaxResults", 10) <= 10:
            raise Refused("ValidationException", "MaxResults")
        path = body["Path"].rstrip("/")
        found = [self.shown(p, len(p.versions), body.get("WithDecryption")) for n, p in sorted(self.parameters.items())
                 if n.startswith(path + "/") or not path]
        part, more = self.pages(found, body, 10)
        return {"Parameters": part, **more}

    def DescribeParameters(self, body):
        self.may("ssm:DescribeParameters")
        if not 1 <= body.get("MaxResults", 50) <= 50:
            raise Refused("ValidationException", "MaxResults")
        found = [p for n, p in sorted(self.parameters.items())
                 if n not in self.hidden and all(self.parameter_matches(p, f) for f in body.get("ParameterFilters", []))]
        part, more = self.pages(found, body, 50)
        return {"Parameters": [{k: v for k, v in self.shown(p, len(p.versions), True).items() if k != "Value"} | {"Tier": "Standard"}
                               for p in part], **more}

    @staticmethod
    def parameter_matches(p, f):
        values = f.get("Values", [])
        if f["Key"] == "Name":
            how = f.get("Option", "Equals")
            return any({"Equals": p.name == v, "BeginsWith": p.name.startswith(v), "Contains": v in p.name}[how] for v in values)
        if f["Key"] == "Path":
            return any(p.name.startswith(v.rstrip("/") + "/") for v in values)
        if f["Key"] == "Type":
            return p.versions[-1][1] in values
        raise Refused("InvalidFilterKey", f["Key"])

    def GetParameterHistory(self, body):
        self.may("ssm:GetParameterHistory", body["Name"])
        p = self.parameters.get(body["Name"])
        if not p:
            raise Refused("ParameterNotFound", None)
        every = [self.shown(p, i + 1, body.get("WithDecryption")) | {"Labels": p.versions[i][2]} for i in range(len(p.versions))]
        part, more = self.pages(every, body, 50)
        return {"Parameters": part, "NextToken": "", **more}

    # --- STS ---

    def GetCallerIdentity(self, _):
        return (f'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
                f"<Arn>arn:aws:iam::{ACCOUNT}:user/tester</Arn><UserId>AIDAEXAMPLE</UserId><Account>{ACCOUNT}</Account>"
                f"</GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>")


# --- signatures ---------------------------------------------------------------------------------------------------------------

def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret, date, region, service, names, values, body, amzdate):
    canonical = "\n".join(["POST", "/", "", *(f"{n}:{' '.join(v.split())}" for n, v in zip(names, values)), "", ";".join(names),
                           hashlib.sha256(body).hexdigest()])
    scope = f"{date}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", amzdate, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = digest(key, part)
    return digest(key, text).hex()


SCHEME = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z]+)/aws4_request, ?"
                    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})")


def check_headers(h, names):
    """The headers that are there and those that are signed."""
    if names != sorted(set(names)):
        raise Refused("IncompleteSignature", "SignedHeaders are not sorted, or double")
    for n in names:
        if len(h.get_all(n) or []) != 1:
            raise Refused("IncompleteSignature", f"the signed header {n} is there {len(h.get_all(n) or [])} times")
    must = {"host", "x-amz-date", "content-type"} | {n.lower() for n in h.keys() if n.lower().startswith("x-amz-")}
    # botocore sends no checksum header here and signs none of these
    missing = must - set(names)
    if missing:
        raise Refused("IncompleteSignature", f"not signed: {', '.join(sorted(missing))}")
    for name in ("authorization", "content-length"):
        if len(h.get_all(name) or []) != 1:
            raise Refused("IncompleteSignature", f"{name} is there {len(h.get_all(name) or [])} times")


def check_signature(aws, h, body, service):
    auth = SCHEME.fullmatch(h.get("Authorization", ""))
    if not auth:
        raise Refused("MissingAuthenticationToken" if "Authorization" not in h else "IncompleteSignature", "Authorization", 403)
    key, date, region, scope_service, names, given = auth.groups()
    names = names.split(";")
    check_headers(h, names)
    amzdate = h["X-Amz-Date"]
    at = time.mktime(time.strptime(amzdate, "%Y%m%dT%H%M%SZ")) - time.timezone
    if key not in aws.keys:
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    secret, token = aws.keys[key]
    if scope_service != service or region not in aws.regions or date != amzdate[:8]:
        raise Refused("InvalidSignatureException", f"Credential should be scoped to a valid region, not '{region}'")
    if signature(secret, date, region, service, names, [h[n] for n in names], body, amzdate) != given:
        raise Refused("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check "
                      "your AWS Secret Access Key and signing method. Consult the service documentation for details.")
    now = time.time() + aws.skew
    if abs(at - now) > 300:
        text = lambda t: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(t))
        how = (f"Signature expired: {amzdate} is now earlier than {text(now - 300)} ({text(now)} - 5 min.)" if at < now else
               f"Signature not yet current: {amzdate} is still later than {text(now + 300)} ({text(now)} + 5 min.)")
        raise Refused("InvalidSignatureException", how)
    if h.get("X-Amz-Security-Token") != token:
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if key in aws.expired:
        raise Refused("ExpiredTokenException", "The security token included in the request is expired")


# --- HTTP ---------------------------------------------------------------------------------------------------------------------

def reply(handler, status, body, kind=JSON, extra=()):
    data = body if isinstance(body, bytes) else body.encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(data)))
    handler.send_header("x-amzn-RequestId", str(uuid.uuid4()))
    for name, value in extra:
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


def refuse(handler, e, sts=False):
    if sts:
        text = (f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{e.code}</Code>'
                f"<Message>{e.message}</Message></Error><RequestId>r</RequestId></ErrorResponse>")
        return reply(handler, 403 if e.status == 400 else e.status, text, "text/xml")
    return reply(handler, e.status, json.dumps({"__type": e.code, **({e.style: e.message} if e.message is not None else {})}))


def perform_fault(handler, what):
    """True if that was the answer."""
    if what.get("stall"):
        time.sleep(what["stall"])
    if what.get("cut"):
        handler.close_connection = True
        handler.connection.close()
        return True
    if "raw" in what:
        status, headers, body = what["raw"]
        reply(handler, status, body, dict(headers).get("Content-Type", JSON), [x for x in headers if x[0] != "Content-Type"])
        return True
    if "error" in what:
        refuse(handler, Refused(*what["error"]))
        return True
    if "answer" in what:
        answer = what["answer"]
        reply(handler, 200, answer if isinstance(answer, (str, bytes)) else json.dumps(answer))
        return True
    return False


def post(self):
    aws = self.aws
    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
    sts = self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
    try:
        if sts:
            op, service, asked = parse_qs(body.decode()).get("Action", ["?"])[0], "sts", {}
        else:
            prefix, _, op = self.headers.get("X-Amz-Target", "").partition(".")
            service = SERVICES.get(prefix)
            asked = json.loads(body) if service else {}
        with aws.lock:
            aws.log.append((op, asked, dict(self.headers.items())))
        if self.path != "/" or not service or not hasattr(aws, op):
            raise Refused("UnknownOperationException", None)
        if not sts and self.headers.get("Content-Type") != JSON:
            raise Refused("SerializationException", "content type")
        try:
            check_signature(aws, self.headers, body, service)
        except Refused as e:
            aws.refusals.append(f"{op}: {e.code}: {e.message}")
            raise
        what = aws.take_fault(op)
        if what and perform_fault(self, what):
            return
        with aws.lock:
            answer = getattr(aws, op)(asked)
        reply(self, 200, answer if sts else json.dumps(answer), "text/xml" if sts else JSON)
    except Refused as e:
        refuse(self, e, sts)
    except (BrokenPipeError, ConnectionResetError):
        self.close_connection = True
