# SPDX-License-Identifier: Apache-2.0
"""Google's own clients, pointed at the stand-ins of tests/fakes: what check-gcp-fake and check-gcp share."""
import os
import sys

import venv_of_suite  # the interpreter with Google's clients: first

import google.api_core.exceptions as api
import google.auth.credentials
from google.auth import aws as auth_aws
from google.auth import compute_engine, identity_pool, impersonated_credentials, pluggable
from google.auth import external_account_authorized_user as workforce
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.rest import SecretManagerServiceRestTransport
from google.oauth2 import credentials as oauth2
from google.oauth2 import service_account

os.environ["GOOGLE_CLOUD_PROJECT"] = "my-proj"  # else they ask gcloud, where there is one
sys.path.insert(0, f"{venv_of_suite.SRC}/tests/fakes")
from gcp_jwt import SCOPE  # noqa: E402
from gcp_sources import AUDIENCE, AWS_TYPE, JWT_TYPE  # noqa: E402

SERVICE = "svc@my-proj.iam.gserviceaccount.com"
TARGET = "target@my-proj.iam.gserviceaccount.com"
USER = "user@example.com"
REFRESH, CLIENT, CLIENT_SECRET = "1//re/fr+e=sh", "id.apps.googleusercontent.com", "GOCSPX-se/cr+et=&"
FEDERATED = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool/subject/s"
PARENT = "projects/my-proj"
VERIFY = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"


def client(gcp, credentials):
    transport = SecretManagerServiceRestTransport(host=f"127.0.0.1:{gcp.port}", url_scheme="http", credentials=credentials)
    return secretmanager_v1.SecretManagerServiceClient(transport=transport)


def read(gcp, credentials, name="db", version="latest", parent=PARENT):
    return client(gcp, credentials).access_secret_version(name=f"{parent}/secrets/{name}/versions/{version}", retry=None).payload.data


class Static(google.auth.credentials.Credentials):
    """An access token that nobody renews."""

    def __init__(self, token):
        super().__init__()
        self.token = token

    def refresh(self, request):
        pass


def bearer(token):
    return Static(token)


def refusal(fn, *args, **kw):
    """The error that the service answered with, or what Google's client made of it."""
    try:
        fn(*args, **kw)
    except api.GoogleAPICallError as e:
        return e.response.json()["error"] if e.response is not None else {"status": str(e)}
    except Exception as e:
        return {"status": type(e).__name__}
    return {"status": "no error"}


def status(fn, *args, **kw):
    return refusal(fn, *args, **kw)["status"]


def reason(fn, *args, **kw):
    return refusal(fn, *args, **kw)["details"][0]["reason"]


def people(gcp, src, key):
    """Everybody whose credentials the tests use."""
    gcp.account(SERVICE, key)
    gcp.principal(TARGET)
    gcp.principal(USER, person=True)
    gcp.principal(FEDERATED)
    src.users[REFRESH] = (CLIENT, CLIENT_SECRET, USER)
    src.federated, src.subjects = FEDERATED, {"head.claims.sig"}
    src.impersonators = {TARGET: [FEDERATED, USER, SERVICE]}
    src.attached = SERVICE


def service_info(src, key):
    return {"type": "service_account", "project_id": "my-proj", "private_key_id": key.id, "private_key": key.pem, "client_email": SERVICE,
            "client_id": "1234", "token_uri": f"{src.url}/token", "universe_domain": "googleapis.com"}


def user_info(src):
    return {"type": "authorized_user", "client_id": CLIENT, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH, "quota_project_id": "my-proj"}


def impersonation_url(src, email=TARGET):
    return f"{src.url}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"


def external_info(src, source, kind=JWT_TYPE, **more):
    return {"type": "external_account", "audience": AUDIENCE, "subject_token_type": kind, "token_url": f"{src.url}/v1/token",
            "credential_source": source, **more}


def workforce_info(src):
    return {"type": "external_account_authorized_user", "audience": AUDIENCE, "refresh_token": REFRESH, "token_url": f"{src.url}/v1/oauthtoken",
            "token_info_url": f"{src.url}/v1/introspect", "client_id": CLIENT, "client_secret": CLIENT_SECRET, "quota_project_id": "my-proj"}


def impersonated_info(src, source):
    return {"type": "impersonated_service_account", "source_credentials": source, "service_account_impersonation_url": impersonation_url(src),
            "delegates": []}


def subject_sources(src, work):
    """Name -> (credential_source, subject token type) of every kind that is not AWS."""
    script = f"{work}/subject.sh"
    with open(f"{work}/subject", "w") as f:
        f.write("head.claims.sig")
    with open(f"{work}/subject.json", "w") as f:
        f.write('{"token": "head.claims.sig"}')
    with open(script, "w") as f:
        f.write('#!/bin/sh\nprintf \'{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:jwt","id_token":"head.claims.sig",'
                '"expiration_time":4102444800}\'\n')
    os.chmod(script, 0o755)
    src.subject, src.subject_headers = '{"t":"head.claims.sig"}', {"X-Key": "v"}
    return {"file": {"file": f"{work}/subject"},
            "json file": {"file": f"{work}/subject.json", "format": {"type": "json", "subject_token_field_name": "token"}},
            "url": {"url": f"{src.url}/subject", "headers": {"X-Key": "v"}, "format": {"type": "json", "subject_token_field_name": "t"}},
            "executable": {"executable": {"command": script, "timeout_millis": 30000}}}


def aws_source(base):
    return {"environment_id": "aws1", "region_url": f"{base}/latest/meta-data/placement/availability-zone",
            "url": f"{base}/latest/meta-data/iam/security-credentials", "regional_cred_verification_url": VERIFY,
            "imdsv2_session_token_url": f"{base}/latest/api/token"}


def load(info, **more):
    """google-auth's credentials of such a file; those without a project are not asked for theirs, which would need the network."""
    kind, source = info["type"], info.get("credential_source", {})
    if kind == "service_account":
        return service_account.Credentials.from_service_account_info(info, scopes=[SCOPE]).with_always_use_jwt_access(True)
    if kind == "authorized_user":
        return oauth2.Credentials(None, refresh_token=info["refresh_token"], client_id=info["client_id"], client_secret=info["client_secret"],
                                  quota_project_id=info.get("quota_project_id"), **more)
    if kind == "external_account_authorized_user":
        return workforce.Credentials.from_info(info)
    if kind == "impersonated_service_account":
        url = info["service_account_impersonation_url"]
        return impersonated_credentials.Credentials(load(info["source_credentials"], **more), TARGET, [SCOPE], info["delegates"],
                                                    iam_endpoint_override=url)
    module = auth_aws if "environment_id" in source else pluggable if "executable" in source else identity_pool
    return module.Credentials.from_info(info, scopes=[SCOPE])


def of_the_machine():
    return compute_engine.Credentials()


def re_sign(url, headers, key, region):
    """botocore's signature of that request: it knows nothing of ours, nor of the stand-in's."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    class Dated(SigV4Auth):
        def headers_to_sign(self, request):
            import http.client
            kept = http.client.HTTPMessage()
            for n, v in headers.items():
                kept[n] = v
            return kept

    rq = AWSRequest(method="POST", url=url.replace("amazonaws.com?", "amazonaws.com/?"), data=b"", headers=headers)
    rq.context["timestamp"] = headers["x-amz-date"]
    signer = Dated(Credentials(*key), "sts", region)
    return signer.signature(signer.string_to_sign(rq, signer.canonical_request(rq)), rq)
