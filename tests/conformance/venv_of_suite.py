# SPDX-License-Identifier: Apache-2.0
"""First import of a conformance test: goes on in the interpreter of the suite's virtual environment, which is made below build/ at the
first use, with pinned versions. Where it cannot be installed the test is skipped, in CI it fails (./dev knows the words)."""
import fcntl
import os
import subprocess
import sys

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
VENV = os.environ.get("SFS_VENV") or f"{SRC}/build/venv"
PINNED = f"{SRC}/tests/conformance/requirements.txt"
CLOUDS = ("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "GCE_")  # variables of whoever runs the tests


def complete():
    """The list that was installed is the list that is wanted."""
    try:
        with open(f"{VENV}/installed") as a, open(PINNED) as b:
            return a.read() == b.read()
    except OSError:
        return False


def install():
    log = f"{VENV}.log"
    os.makedirs(os.path.dirname(VENV), exist_ok=True)
    with open(log, "w") as out:
        for command in ([sys.executable, "-m", "venv", VENV], [f"{VENV}/bin/pip", "install", "-q", "--disable-pip-version-check", "-r", PINNED]):
            try:
                subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=True, timeout=900)
            except (subprocess.SubprocessError, OSError) as e:
                print(open(log).read()[-2000:])
                print(f"the servers and clients of {os.path.relpath(PINNED, SRC)} are not installed: {e}")
                sys.exit(77)
    with open(PINNED) as a, open(f"{VENV}/installed", "w") as b:
        b.write(a.read())


def enter():
    if os.environ.get("SFS_IN_VENV") == VENV:
        return
    os.makedirs(os.path.dirname(VENV), exist_ok=True)
    with open(f"{VENV}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete():
            install()
    env = {k: v for k, v in os.environ.items() if not k.startswith(CLOUDS)}
    env.update(SFS_IN_VENV=VENV, AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/nonexistent", AWS_SHARED_CREDENTIALS_FILE="/nonexistent",
               CLOUDSDK_CONFIG=f"{VENV}/gcloud", NO_GCE_CHECK="true",  # a gcloud that is asked for anything writes there
               no_proxy="127.0.0.1,localhost", NO_PROXY="127.0.0.1,localhost")
    os.execve(f"{VENV}/bin/python3", [f"{VENV}/bin/python3", *sys.argv], env)


enter()
