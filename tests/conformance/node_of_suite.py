# SPDX-License-Identifier: Apache-2.0
"""Google's clients for Node.js, installed below build/ at the first use, at the versions of node/package-lock.json. ask() runs
node/gcp_client.js in one process: a list of jobs in, their results out. unavailable() is why it cannot be done here, or None."""
import fcntl
import json
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
SRC = os.path.dirname(os.path.dirname(HERE))
PLACE = os.environ.get("SFS_NODE") or f"{SRC}/build/node"
PINNED = ("package.json", "package-lock.json")


def same(a, b):
    try:
        with open(a) as x, open(b) as y:
            return x.read() == y.read()
    except OSError:
        return False


def install():
    os.makedirs(PLACE, exist_ok=True)
    for name in PINNED:
        shutil.copyfile(f"{HERE}/node/{name}", f"{PLACE}/{name}")
    with open(f"{PLACE}/npm.log", "w") as log:
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PLACE, stdout=log, stderr=subprocess.STDOUT, check=True,
                       timeout=600)
    shutil.copyfile(f"{HERE}/node/package-lock.json", f"{PLACE}/installed")


def unavailable():
    for program in ("node", "npm"):
        if not shutil.which(program):
            return f"{program} is not installed"
    os.makedirs(os.path.dirname(PLACE), exist_ok=True)
    with open(f"{PLACE}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not same(f"{HERE}/node/package-lock.json", f"{PLACE}/installed"):
            try:
                install()
            except (subprocess.SubprocessError, OSError) as e:
                with open(f"{PLACE}/npm.log") as f:
                    print(f.read()[-2000:])
                return f"npm could not fetch them: {e}"
    return None


def ask(jobs, **env):
    """A result for each job: {"names": [...], "values": {name: base64}, "error": word} as far as it was asked."""
    r = subprocess.run(["node", f"{HERE}/node/gcp_client.js"], input=json.dumps(jobs), capture_output=True, text=True, timeout=120,
                       env={**os.environ, "NODE_PATH": f"{PLACE}/node_modules", **env})
    if r.returncode:
        raise RuntimeError(f"gcp_client.js: {r.stderr[-1500:]}")
    return json.loads(r.stdout)
