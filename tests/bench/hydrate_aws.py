# SPDX-License-Identifier: Apache-2.0
"""What tests/bench/hydrate has to know of AWS Secrets Manager."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "fakes"))
from aws import signature  # noqa: E402

KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
BATCH = 20
BOTO3 = """import os, sys, time
start = time.perf_counter()
import boto3
c = boto3.client("secretsmanager", endpoint_url=sys.argv[1], region_name="us-east-1", verify=sys.argv[3] or None)
loop = time.perf_counter()
for i in range(int(sys.argv[2])):
    c.get_secret_value(SecretId=f"bench/s{i:06d}")
print(time.perf_counter() - start, time.perf_counter() - loop)
"""


class Provider:
    parallel = 8  # half of the threads that its back end has
    name, source, options, top = "aws", f"aws:{REGION}", "", "bench"
    bulk, received, presigned = "batches of 20", b'"SecretString"', ", signed beforehand"
    slack = 5  # a few more batches where fetching begins before the last page of the listing is there: a fifth

    def __init__(self, bench, args):
        self.args = args
        self.env = {"PATH": os.environ["PATH"], "HOME": bench.dir, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
                    "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": REGION}

    def id(self, i):
        return f"bench/s{i:06d}"

    def calls(self):
        """Requests that fetch everything."""
        return (self.args.names + BATCH - 1) // BATCH

    def request(self, server, op, body):
        """Path, body and headers of a signed request, as secretfs sends it."""
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        h = {"content-type": "application/x-amz-json-1.1", "host": server.host, "x-amz-date": at, "x-amz-target": f"secretsmanager.{op}"}
        sig = signature(SECRET, at[:8], REGION, "secretsmanager", list(h), list(h.values()), body.encode(), at)
        h["authorization"] = (f"AWS4-HMAC-SHA256 Credential={KEY}/{at[:8]}/{REGION}/secretsmanager/aws4_request, "
                              f"SignedHeaders={';'.join(h)}, Signature={sig}")
        return "/", body, h

    def all_of_them(self, server):
        for i in range(0, self.args.names, BATCH):
            ids = ",".join(f'"{self.id(n)}"' for n in range(i, min(i + BATCH, self.args.names)))
            yield self.request(server, "BatchGetSecretValue", '{"SecretIdList":[' + ids + "]}")

    def one(self, server, i):
        return self.request(server, "GetSecretValue", f'{{"SecretId":"{self.id(i)}"}}')

    def clients(self, h):
        self.boto3(h)
        self.cli(h)

    def boto3(self, h):
        r = subprocess.run([sys.executable, "-c", BOTO3, h.server.url, str(self.args.names), h.server.cacert or ""], env=self.env,
                           capture_output=True, text=True)
        if r.returncode:
            return print(f"boto3 is not compared: {r.stderr.strip().splitlines()[-1]}")
        whole, loop = map(float, r.stdout.split())
        h.client("boto3, one by one", whole, "boto3", loop / self.args.names)

    def cli(self, h):
        words = ["aws", "--endpoint-url", h.server.url, *(["--ca-bundle", h.server.cacert] if h.server.cacert else [])]
        took = []
        for i in range(self.args.cli):
            start = time.perf_counter()
            try:
                subprocess.run([*words, "secretsmanager", "get-secret-value", "--secret-id", self.id(i)], check=True, capture_output=True, env=self.env)
            except (OSError, subprocess.CalledProcessError) as e:
                return print(f"the aws CLI is not compared: {e}")
            took.append(time.perf_counter() - start)
        if took:
            one = sorted(took)[len(took) // 2]
            h.client(f"aws CLI, one by one ({self.args.cli} runs, times {self.args.names})", one * self.args.names, "aws CLI", one)
