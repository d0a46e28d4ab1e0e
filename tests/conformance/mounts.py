# SPDX-License-Identifier: Apache-2.0
"""Mounts for the conformance tests: in a namespace of their own, with what a test asks of them."""
import errno
import os
import subprocess
import sys
import tempfile
import time
import traceback

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.path.realpath(sys.argv[1] if len(sys.argv) > 1 else f"{SRC}/build")


def own_mounts():
    """A mount namespace of its own, so that nothing can stay behind."""
    if os.geteuid() != 0:
        print("the conformance tests need root: they mount")
        sys.exit(77)
    if os.environ.get("SFS_OWN_MOUNTS") != "1":
        os.execvpe("unshare", ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", sys.executable, *sys.argv],
                   {**os.environ, "SFS_OWN_MOUNTS": "1"})


def equal(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}"[:600])


def eventually(fn, what, seconds=20):
    end = time.monotonic() + seconds
    while not fn():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Mount:
    def __init__(self, work, source, env, *words):
        self.mp = tempfile.mkdtemp(dir=work)
        subprocess.run([f"{BUILD}/secretfs", "mount", source, self.mp, "-o", ",".join(["open_rate=0", *filter(None, words)])], env=env, check=True,
                       timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        subprocess.run([f"{BUILD}/secretfs", "umount", self.mp], check=True, timeout=30)

    def read(self, name):
        with open(f"{self.mp}/{name}", "rb", buffering=0) as f:
            return f.read()

    def control(self, name, text):
        with open(f"{self.mp}/.control/{name}", "wb", buffering=0) as f:
            f.write(text.encode())

    def files(self):
        found = []
        for d, _, names in os.walk(self.mp):
            found += [os.path.relpath(f"{d}/{n}", self.mp) for n in names]
        return sorted(found)

    def fails(self, name, errno_name):
        try:
            self.read(name)
        except OSError as e:
            equal(errno.errorcode[e.errno], errno_name, f"errno of {name}")
            return self.read(".control/status").decode()
        raise AssertionError(f"{name} could be read, want {errno_name}")


def run_all(cases, *args):
    """Runs each case; the number of those that failed."""
    bad = 0
    for fn in cases:
        start = time.monotonic()
        try:
            fn(*args)
            print(f"ok {fn.__name__} {time.monotonic() - start:.1f}s")
        except Exception:
            bad += 1
            print(f"not ok {fn.__name__}")
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    return bad
