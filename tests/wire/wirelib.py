# SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: certificates, the probe program, and how a test file runs its test_* functions."""
import contextlib
import errno
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "fakes"))

SLOW = float(os.environ.get("SFS_TEST_SLOW", "1"))
LATE = 20000 * SLOW  # ms by which even a busy machine has seen a deadline; what stalls does so for 300 s
E = errno


class Certs:
    """Certificates made by openssl(1) in a directory of their own; each call returns the paths of certificate and key."""

    def __init__(self, directory):
        self.dir, self.n = directory, 0
        self.ca = self.authority("test CA")

    def run(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def authority(self, name):
        self.n += 1
        cert, key = self.path(f"ca{self.n}.pem"), self.path(f"ca{self.n}.key")
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                 f"/CN={name}", "-keyout", key, "-out", cert, "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        return cert, key

    def leaf(self, san="IP:127.0.0.1,DNS:localhost", ca=None, start=None, end=None, is_ca=False, digest="sha256", chain=()):
        """Signed by `ca`; start and end as YYYYMMDDHHMMSSZ."""
        self.n += 1
        name = f"leaf{self.n}"
        cert, key, csr, ext = (self.path(name + suffix) for suffix in (".pem", ".key", ".csr", ".ext"))
        ca_cert, ca_key = ca or self.ca
        with open(ext, "w") as f:
            f.write(f"[v3]\nbasicConstraints=critical,CA:{'TRUE' if is_ca else 'FALSE'}\n" + (f"subjectAltName={san}\n" if san else ""))
            f.write("[ca]\ndefault_ca=d\n[d]\ndatabase=%s\nnew_certs_dir=%s\nrand_serial=yes\npolicy=p\ndefault_md=%s\n"
                    "unique_subject=no\n[p]\ncommonName=supplied\n" % (self.path(name + ".db"), self.dir, digest))
        open(self.path(name + ".db"), "w").close()
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", csr)
        when = ["-startdate", start or "20200101000000Z", "-enddate", end or "20490101000000Z"]
        self.run("ca", "-batch", "-config", ext, "-extensions", "v3", "-in", csr, "-out", cert, "-cert", ca_cert, "-keyfile", ca_key,
                 "-notext", *when)
        for more in chain:
            with open(cert, "a") as f:
                f.write(open(more).read())
        return cert, key


def server_context(pair, client_ca=None, versions=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.set_ciphers("ALL:@SECLEVEL=0")  # what is weak must be refused by the other side
    ctx.load_cert_chain(*pair)
    if client_ca:
        ctx.load_verify_locations(client_ca)
        ctx.verify_mode = ssl.CERT_REQUIRED
    if versions:
        ctx.minimum_version, ctx.maximum_version = versions
    return ctx


NGINX = """
daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log {dir}/access.log;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{
    listen 127.0.0.1:{port} ssl {h2};
    ssl_certificate {cert}; ssl_certificate_key {key};
    location / {{ {location} }}
  }}
}}
"""


def start_nginx(w, h2, location):
    """Its URL, or None if it ended: another process took the port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    home = os.path.join(w.dir, f"nginx-{port}")
    os.mkdir(home)
    cert, key = w.certs.leaf()
    with open(home + "/nginx.conf", "w") as f:
        f.write("user root;\n" * (os.geteuid() == 0) + NGINX.format(dir=home, port=port, h2=h2, cert=cert, key=key, location=location))
    p = subprocess.Popen(["nginx", "-c", home + "/nginx.conf"], stderr=subprocess.DEVNULL)
    w.stack.callback(p.wait)
    w.stack.callback(p.terminate)
    end = time.monotonic() + 60
    while p.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return f"https://127.0.0.1:{port}"
        except OSError:
            assert time.monotonic() < end, "nginx does not start"
            time.sleep(0.05)
    return None


def nginx(w, h2, location):
    """Starts nginx with TLS, and HTTP/2 if h2 is "http2"; its URL. It ends with the test."""
    url = next(filter(None, (start_nginx(w, h2, location) for _ in range(3))), None)
    assert url, "nginx does not start"
    return url


class Answer:
    def __init__(self, d):
        self.__dict__.update(d)

    def __repr__(self):
        return repr(self.__dict__)


class Probe:
    def __init__(self, build, *args, env=None, wrapper=()):
        program = os.path.join(build, "tests", "http-probe")
        if b"__tsan_init" in open(program, "rb").read():
            wrapper = ("setarch", "-R", *wrapper)  # it knows no other layout of addresses
        self.p = subprocess.Popen([*wrapper, program, *args], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})

    def line(self, text):
        self.p.stdin.write(text + "\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline()
        assert answer, f"the probe ended: {self.p.wait()}"
        return answer

    def all(self, url, **words):
        answers = json.loads(self.line(" ".join(["do", f"url={url}", *(f"{k}={v}" for k, v in words.items())])))
        return [Answer(a) for a in answers]

    def do(self, url, **words):
        return self.all(url, **words)[0]

    def stats(self):
        return Answer(json.loads(self.line("stats")))

    def threads(self):
        return int(self.line("threads"))

    def rss(self):
        with open(f"/proc/{self.p.pid}/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))

    def locked(self):
        with open(f"/proc/{self.p.pid}/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmLck"))

    def close(self):
        self.p.stdin.close()
        code = self.p.wait(timeout=60)
        self.p.stdout.close()
        assert code == 0, f"the probe ended with {code}"


class Wire:
    """Handed to each test: a directory, certificates, probes and servers that end with it."""

    def __init__(self, build, directory, certs, stack):
        self.build, self.dir, self.certs, self.stack = build, directory, certs, stack

    def probe(self, *args, **kw):
        p = Probe(self.build, *args, **kw)
        self.stack.callback(p.close)
        return p

    def serve(self, server):
        self.stack.callback(server.close)
        return server


def refused(answer, code, *words):
    assert answer.r == -code, f"expected {errno.errorcode[code]}: {answer}"
    assert answer.len == 0, answer
    for word in words:
        assert word in answer.err, f"{word!r} is not in: {answer.err}"


def good(answer, status=200):
    assert answer.r == 0 and answer.status == status, answer
    return answer


def main(tests):
    """Runs the test_* functions of a file; arguments: the build directory, then perhaps names."""
    build = os.path.realpath(sys.argv[1])
    failed = done = 0
    with tempfile.TemporaryDirectory(prefix="secretfs-wire.") as directory:
        certs = Certs(directory)
        for name, test in list(tests.items()):
            if not name.startswith("test_") or (sys.argv[2:] and name[5:] not in sys.argv[2:]):
                continue
            start = time.monotonic()
            try:
                with contextlib.ExitStack() as stack:
                    test(Wire(build, directory, certs, stack))
                print(f"ok {name[5:]} ({time.monotonic() - start:.1f} s)")
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {name[5:]}")
                traceback.print_exc(file=sys.stdout)
            done += 1
            sys.stdout.flush()
    print(f"{done - failed} passed, {failed} failed")
    sys.exit(1 if failed or not done else 0)
