# SPDX-License-Identifier: Apache-2.0
"""What tests/bench/hydrate has to know of Google Secret Manager, which has no call for more than one value."""
import os
import subprocess

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PYTHON = f"{os.environ.get('SFS_VENV') or f'{SRC}/build/venv'}/bin/python3"  # with Google's client, made by the conformance tests
TOKEN = "ya29." + "x" * 200
CLIENT = """import concurrent.futures, os, sys, time
start = time.perf_counter()
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.rest import SecretManagerServiceRestTransport
from google.oauth2.credentials import Credentials
scheme, host, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
t = SecretManagerServiceRestTransport(host=host, url_scheme=scheme, credentials=Credentials("%s"))
c = secretmanager_v1.SecretManagerServiceClient(transport=t)
def get(i):
    return c.access_secret_version(name=f"projects/bench/secrets/s{i:06d}/versions/latest").payload.data
loop = time.perf_counter()
if threads == 1:
    got = [get(i) for i in range(count)]
else:
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        got = list(pool.map(get, range(count)))
assert len(got) == count
print(time.perf_counter() - start, time.perf_counter() - loop)
""" % TOKEN


class Provider:
    parallel = 16  # half of the threads that its back end has
    name, source, top = "gcp", "gcp:bench", ""
    bulk, received, presigned = "a request for each", b'"dataCrc32c"', ""
    slack = 0

    def __init__(self, bench, args):
        self.args = args
        self.env = {"PATH": os.environ["PATH"], "HOME": bench.dir, "NO_GCE_CHECK": "true"}
        path = f"{bench.dir}/access-token"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(TOKEN)
        self.options = f"token_file={path}"

    def id(self, i):
        return f"s{i:06d}"

    def calls(self):
        return self.args.names

    def one(self, server, i):
        return f"/v1/projects/bench/secrets/{self.id(i)}/versions/latest:access", None, {"authorization": f"Bearer {TOKEN}", "accept": "application/json"}

    def all_of_them(self, server):
        return (self.one(server, i) for i in range(self.args.names))

    def clients(self, h):
        for threads, what in ((1, "one by one"), (self.args.parallel, f"{self.args.parallel} threads")):
            env = {**self.env, **({"REQUESTS_CA_BUNDLE": h.server.cacert} if h.server.cacert else {})}
            scheme = "https" if h.server.cacert else "http"
            try:
                r = subprocess.run([PYTHON, "-c", CLIENT, scheme, h.server.host, str(self.args.names), str(threads)], env=env, capture_output=True, text=True)
            except OSError as e:
                return print(f"Google's client is not compared: {e}; ./dev test conformance installs it")
            if r.returncode:
                return print(f"Google's client is not compared: {r.stderr.strip().splitlines()[-1]}")
            whole, loop = map(float, r.stdout.split())
            one = "google-cloud-secret-manager" if threads == 1 else None
            h.client(f"google-cloud-secret-manager (Python, REST), {what}", whole, one, loop / self.args.names)
