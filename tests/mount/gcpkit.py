# SPDX-License-Identifier: Apache-2.0
"""What the mount tests of gcp: share: the strict stand-in, access tokens that are canaries, and mounts that talk to it."""
import base64
import contextlib
import errno
import json
import os
import sys

from lib import SRC, W, Mount, canary, eventually, fails, fresh, push_clock, replace

sys.path.insert(0, f"{SRC}/tests/fakes")
from gcp import ACCESSOR, ADMIN, LIST, VIEWER, Gcp  # noqa: E402, F401
from gcp_jwt import Key, SCOPE, read_jwt  # noqa: E402, F401
from gcp_sources import AUDIENCE, AWS_TYPE, IAM_SCOPE, JWT_TYPE, Sources  # noqa: E402, F401
from gcp_wire import crc32c  # noqa: E402

NUMBER = "123456789012"
LISTS, READS, VERSIONS = "ListSecrets", "AccessSecretVersion", "ListSecretVersions"


def note_canaries(texts):
    with open(f"{W}/canaries", "a") as f:
        f.writelines(t + "\n" for t in texts)


@contextlib.contextmanager
def fake(rights=ADMIN, own=None, **kw):
    """A stand-in with one person, whose access token is a canary, as is any other token that comes."""
    with Gcp(**kw) as gcp:
        gcp.token = gcp.principal("tester", rights, own, token=f"ya29.{canary('token')}")
        gcp.token_file = f"{W}/out/{fresh('token')}"
        replace(gcp.token_file, gcp.token + "\n")
        try:
            yield gcp
        finally:
            note_canaries(t for t in gcp.seen if len(t) > 20)


def environment(**more):
    """Nothing of whoever runs the tests, and no metadata server."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "NO_GCE_CHECK": "true", **more}
    return {k: v for k, v in env.items() if v is not None}


def words(*opts):
    return ",".join(o for o in opts if o)


def mount(gcp, opts="", source=None, env=None, token=True, **kw):
    source = source or (f"gcp:my-proj/{gcp.location}" if gcp.location else "gcp:my-proj")
    known = f"token_file={gcp.token_file}" if token else ""
    return Mount(source, words(f"endpoint={gcp.url}", known, opts), env=environment(**(env or {})), **kw)


def answer(name, data, version=1, crc="right", secret=None, **more):
    """A reply with a value, as text for fault(answer=...)."""
    payload = {"data": data if isinstance(data, str) else base64.b64encode(data).decode()}
    if crc == "right":
        payload["dataCrc32c"] = str(crc32c(data))
    elif crc is not None:
        payload["dataCrc32c"] = crc
    return json.dumps({"name": f"projects/{NUMBER}/secrets/{secret or name}/versions/{version}", "payload": payload, **more})


def entry(name, **more):
    return {"name": f"projects/{NUMBER}/secrets/{name}", "createTime": "2026-01-02T03:04:05Z", **more}


def hydrated(m, n):
    """Waits until so many values are here."""
    eventually(lambda: sum(line[0] != "#" for line in m.cached().splitlines()) >= n, f"{n} values are fetched", 30)


def told(m):
    """Everything a mount says about itself."""
    return m.read(".control/status").decode() + m.logged()


# --- credentials ----------------------------------------------------------------------------------------------------------------

SERVICE, TARGET, USER = "svc@my-proj.iam.gserviceaccount.com", "target@my-proj.iam.gserviceaccount.com", "user@example.com"
FEDERATED = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool/subject/s"
CLIENT = "id.apps.googleusercontent.com"


class World:
    """The stand-in, the sources of credentials, somebody of each kind, a home directory, and one secret."""

    def __init__(self, gcp, src):
        self.gcp, self.src = gcp, src
        self.home = f"{W}/{fresh('home')}"
        os.makedirs(self.home)
        self.value = canary("s")
        gcp.put("s", self.value)
        self.key = Key()
        note_canaries(self.key.pem.splitlines()[2:5])
        gcp.account(SERVICE, self.key)
        for name in (TARGET, FEDERATED):
            gcp.principal(name)
        gcp.principal(USER, person=True)
        # What must be percent-encoded in a form is in both.
        self.refresh, self.client_secret = f"1//{canary('refresh')}/+=&%", f"GOCSPX-{canary('client')}/+=&%"
        src.users[self.refresh] = (CLIENT, self.client_secret, USER)
        self.subject = f"{canary('subject')}.claims.sig"
        src.federated, src.subjects, src.attached = FEDERATED, {self.subject}, SERVICE
        src.impersonators = {TARGET: [FEDERATED, USER, SERVICE]}

    def file(self, info, name="credentials.json", mode=0o600):
        path = f"{self.home}/{name}"
        replace(path, info if isinstance(info, str) else json.dumps(info), mode)
        return path

    def service(self, **more):
        return {"type": "service_account", "project_id": "my-proj", "private_key_id": self.key.id, "private_key": self.key.pem,
                "client_email": SERVICE, "client_id": "1234", "token_uri": f"{self.src.url}/token", **more}

    def user(self, **more):
        return {"type": "authorized_user", "client_id": CLIENT, "client_secret": self.client_secret, "refresh_token": self.refresh,
                "token_uri": f"{self.src.url}/token", "quota_project_id": "my-proj", **more}

    def workforce(self):
        return {"type": "external_account_authorized_user", "audience": AUDIENCE, "refresh_token": self.refresh, "client_id": CLIENT,
                "client_secret": self.client_secret, "token_url": f"{self.src.url}/v1/oauthtoken", "quota_project_id": "my-proj"}

    def external(self, source=None, kind=JWT_TYPE, **more):
        source = source or {"file": self.subject_file(self.subject)}
        return {"type": "external_account", "audience": AUDIENCE, "subject_token_type": kind, "token_url": f"{self.src.url}/v1/token",
                "credential_source": source, **more}

    def subject_file(self, text, name="subject"):
        replace(f"{self.home}/{name}", text)
        return f"{self.home}/{name}"

    def impersonation(self, email=TARGET):
        return f"{self.src.url}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"

    def impersonated(self, source, **more):
        return {"type": "impersonated_service_account", "source_credentials": source, "service_account_impersonation_url": self.impersonation(),
                "delegates": [], **more}

    def aws_source(self):
        base = f"{self.src.url}/latest"
        return {"environment_id": "aws1", "region_url": f"{base}/meta-data/placement/availability-zone",
                "url": f"{base}/meta-data/iam/security-credentials", "imdsv2_session_token_url": f"{base}/api/token",
                "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}

    def mount(self, info=None, opts="", env=None, **kw):
        """`info`: the credentials file that an option names; None = whatever is found."""
        named = f"credentials={self.file(info)}" if info is not None else ""
        return mount(self.gcp, words(named, "lazy", opts), env={"HOME": self.home, **(env or {})}, token=False, **kw)

    def reads(self, m, what="reads"):
        got = m.read(".nocache/s").decode()
        if got != self.value:
            raise AssertionError(f"{what}: other bytes")

    def becomes(self, m, outcome, what, push=61):
        """Waits until a read ends so: the name of an errno, or "ok". What was under way with an older answer may come first."""
        def now():
            push_clock(push)
            try:
                self.reads(m)
                return "ok"
            except OSError as e:
                return errno.errorcode[e.errno]
        eventually(lambda: now() == outcome, f"{outcome} of {what}", 15)

    def refused(self, m, *codes):
        """The sentence with which a read fails."""
        fails(codes, m.read, ".nocache/s")
        return m.read(".control/status").decode()


@contextlib.contextmanager
def world(**kw):
    with fake(**kw) as gcp, Sources(gcp) as src:
        try:
            yield World(gcp, src)
        finally:
            forms = src.asked("token") + src.asked("sts")
            note_canaries(f[k] for f in forms for k in ("assertion", "subject_token") if len(f.get(k, "")) > 20)
