# SPDX-License-Identifier: Apache-2.0
"""What the mount tests of aws: and aws-ssm: share: the strict stand-in, and mounts that talk to it."""
import os
import sys

from lib import SRC, Mount, canary, eventually

sys.path.insert(0, f"{SRC}/tests/fakes")
from aws import ACCOUNT, Aws  # noqa: E402, F401


def fake(**kw):
    """A stand-in whose only key is a canary. Use in `with`."""
    aws = Aws(**kw)
    aws.keys = {"AKIDEXAMPLE": (canary("key"), None)}
    return aws


def environment(aws, **more):
    key, (secret, token) = next(iter(aws.keys.items()))
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
           "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_STS": aws.url}
    if token:
        env["AWS_SESSION_TOKEN"] = token
    env.update(more)
    return {k: v for k, v in env.items() if v is not None}


def mount(aws, opts="", source="aws:us-east-1", env=None, **kw):
    return Mount(source, f"endpoint={aws.url}{',' if opts else ''}{opts}", env=env or environment(aws), **kw)


def hydrated(m, n):
    """Waits until so many values are here."""
    eventually(lambda: sum(line[0] != "#" for line in m.cached().splitlines()) >= n, f"{n} values are fetched", 60)
