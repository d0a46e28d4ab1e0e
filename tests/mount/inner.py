#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `run` starts as process 1 of a test's namespaces: makes the private /tmp and /dev, runs the test, explains a timeout, and
afterwards looks for what must not be there: mounts and processes left behind, suspicious words in logs, canaries."""
import ctypes
import fcntl
import glob
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

W = "/tmp/w"
SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CONNECTIONS = "/sys/fs/fuse/connections"
GRACE = 20  # seconds for a daemon to end after its unmount
SUSPICIOUS = re.compile("|".join([
    r"ERROR: (Address|Leak|Memory)Sanitizer", r"WARNING: ThreadSanitizer", r"runtime error: ", r"[Aa]ssertion .*failed",
    r"replied twice", r"double reply", r"without (a )?reply", r"no reply", r"stack smashing", r"double free", r"corrupted",
    r"free\(\): ", r"malloc\(\): ", r"fuse: (writing device|bad error|reading device)", r"terminated abnormally",
    r"Conditional jump or move depends", r"Invalid (read|write) of size", r"Segmentation fault", r"core dumped",
]))
libc = ctypes.CDLL(None, use_errno=True)
MS_BIND, MS_MOVE = 4096, 8192


def mount(source, target, kind=None, flags=0, data=None):
    enc = [x.encode() if x is not None else None for x in (source, target, kind, data)]
    if libc.mount(enc[0], enc[1], enc[2], flags, enc[3]) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def setup_tmp(keep):
    """A fresh tmpfs on /tmp in which the directories of `keep` that lie below /tmp are still there."""
    stage = "/mnt"
    mount("tmpfs", stage, "tmpfs", 0, "mode=1777")
    for d in keep:
        if d.startswith("/tmp/"):
            os.makedirs(stage + d[len("/tmp"):], exist_ok=True)
            mount(d, stage + d[len("/tmp"):], None, MS_BIND)
    mount(stage, "/tmp", None, MS_MOVE)


def setup_dev():
    """A /dev of our own, so that /dev/log can be ours: what daemons send to syslog is part of the sweep."""
    stage = "/mnt"
    mount("tmpfs", stage, "tmpfs", 0, "mode=755")
    os.mkdir(f"{stage}/net")
    for name in ("null", "zero", "full", "random", "urandom", "tty", "fuse", "ptmx", "net/tun"):
        if os.path.exists("/dev/" + name):
            st = os.stat("/dev/" + name)
            os.mknod(f"{stage}/{name}", st.st_mode, st.st_rdev)
            os.chmod(f"{stage}/{name}", st.st_mode & 0o777)
    for name in ("pts", "shm"):
        os.mkdir(f"{stage}/{name}")
        mount("/dev/" + name, f"{stage}/{name}", None, MS_BIND)
    for name, to in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
                     ("stderr", "/proc/self/fd/2")):
        os.symlink(to, f"{stage}/{name}")
    mount(stage, "/dev", None, MS_MOVE)


def loopback_up():
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1 | 64))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING


def collect_syslog():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind("/dev/log")
    os.chmod("/dev/log", 0o666)

    def loop():
        with open(W + "/log/syslog", "ab", buffering=0) as f:
            while True:
                f.write(s.recv(65536).rstrip(b"\n\0") + b"\n")
    threading.Thread(target=loop, daemon=True).start()


def detach_inherited():
    """Copies of FUSE mounts of others: they would look like leaks, and would keep those mounts alive."""
    for line in reversed(read("/proc/self/mountinfo").decode(errors="replace").splitlines()):
        fields = line.split()
        if fields[fields.index("-") + 1].startswith("fuse."):
            libc.umount2(fields[4].encode().decode("unicode_escape").encode("latin-1"), 2)  # MNT_DETACH


def setup(build, test_dir):
    detach_inherited()
    loopback_up()
    setup_tmp([build, SRC, test_dir])
    setup_dev()
    if not os.listdir(CONNECTIONS):
        try:
            mount("fusectl", CONNECTIONS, "fusectl")
        except OSError as e:
            print("inner: no fusectl:", e)
    for d in ("", "/log", "/snap", "/out", "/home", "/m"):
        os.makedirs(W + d)
    with open(W + "/knobs", "wb") as f:  # of test_main.c
        f.write(bytes(32))
    collect_syslog()


def environment(build, valgrind):
    env = {"PATH": os.environ["PATH"], "HOME": W + "/home", "LC_ALL": "C.UTF-8", "W": W, "SFS_BUILD": build, "SFS_SRC": SRC,
           "PYTHONPATH": os.path.join(SRC, "tests/mount"), "PYTHONDONTWRITEBYTECODE": "1",
           "SFS_TEST_SCALE": os.environ.get("SFS_TEST_SCALE", "1"), "SFS_TEST_SLOW": os.environ.get("SFS_TEST_SLOW", "1")}
    env.update({k: v for k, v in os.environ.items() if k in ("CASE", "MODEL_SEED", "SFS_TEST_MODE", "MODEL_OPS", "RAWFUSE_SEED")})
    if valgrind:
        env["SFS_TEST_VALGRIND"] = "1"
    return env


def wait_for(proc, limit):
    """Waits for the test while burying everybody else's orphans. The exit status, or None at the limit."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 1
        if pid == proc.pid:
            return os.waitstatus_to_exitcode(status)
        if pid == 0:
            time.sleep(0.02)
    return None


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def processes():
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != 1]


def ours(build):
    found = []
    for pid in processes():
        try:
            exe = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            continue
        if exe.startswith(build + "/") and os.path.basename(exe).split(" ")[0] in ("secretfs", "secretfs-holder", "secretfs-test"):
            found.append(pid)
    return found


def describe(pid):
    cmd = read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace")
    state = re.search(rb"^State:\s*(.*)$", read(f"/proc/{pid}/status"), re.M)
    return f"{pid} [{state.group(1).decode() if state else '?'}] {cmd}"


def explain_timeout():
    print("inner: time is over; processes and what the kernel does for them:")
    for pid in processes():
        print(" ", describe(pid))
        for task in glob.glob(f"/proc/{pid}/task/*"):
            if re.search(rb"^State:\s*D", read(task + "/status"), re.M):
                print("    task", os.path.basename(task), "in D:")
                print("     ", read(task + "/stack").decode(errors="replace").replace("\n", "\n      "))
    for conn in sorted(our_connections()):
        print(f"  connection {conn}: {read(f'{CONNECTIONS}/{conn}/waiting').decode().strip()} requests waiting")
    for path in sorted(glob.glob(W + "/log/*")):
        text = read(path).decode(errors="replace")
        if text.strip():
            print(f"  --- {os.path.basename(path)}\n" + "\n".join("  | " + x for x in text.splitlines()[-60:]))


def fuse_mounts():
    mounts = []
    for path in glob.glob("/proc/[0-9]*/mountinfo"):
        for line in read(path).decode(errors="replace").splitlines():
            fields = line.split()
            kind = fields[fields.index("-") + 1]
            if kind.startswith("fuse."):
                mounts.append((fields[2].split(":")[1], fields[4], kind))
    return sorted(set(mounts))


def our_connections():
    """Those that are mounted in these namespaces, and those the tests wrote down when they mounted."""
    conns = {m[0] for m in fuse_mounts()} | set(read(W + "/connections").decode().split())
    return {c for c in conns if os.path.isdir(f"{CONNECTIONS}/{c}")}


def abort_connections():
    for conn in our_connections():
        try:
            with open(f"{CONNECTIONS}/{conn}/abort", "w") as f:
                f.write("1")
        except OSError:
            pass


def leaks(build):
    end = time.monotonic() + GRACE * float(os.environ.get("SFS_TEST_SLOW", "1"))
    bad = []
    while True:
        bad = [f"leaked mount: {m[1]} ({m[2]})" for m in fuse_mounts()]
        bad += [f"leaked process: {describe(p)}" for p in ours(build)]
        if not bad or time.monotonic() > end:
            return bad
        bury()
        time.sleep(0.05)


def bury():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def swept_files():
    for root in (W + "/log", W + "/snap"):
        for d, _, files in os.walk(root):
            for name in files:
                yield os.path.join(d, name)
    yield W + "/output"


def sweep():
    """Canaries (R11) and suspicious words in everything that was captured."""
    canaries = [c for c in read(W + "/canaries").split(b"\n") if c]
    allowed = [re.compile(p) for p in read(W + "/allowed-words").decode().split("\n") if p]
    bad = []
    for path in swept_files():
        data = read(path)
        for c in canaries:
            at = data.find(c)
            if at >= 0:
                line = data[data.rfind(b"\n", 0, at) + 1:at][-80:].decode(errors="replace")
                bad.append(f"canary {c[:12].decode()}... found in {path} after {line!r}")
        if "/snap/" in path:
            continue
        for line in data.decode(errors="replace").splitlines():
            if SUSPICIOUS.search(line) and not any(p.search(line) for p in allowed):
                bad.append(f"suspicious line in {path}: {line.strip()[:200]}")
    return list(dict.fromkeys(bad))  # each once


def show_sanitizer():
    """The first report of each kind, whole."""
    seen = set()
    for path in sorted(glob.glob(W + "/log/*")):
        for report in re.split(r"(?m)^={18}$", read(path).decode(errors="replace")):
            summary = re.search(r"^SUMMARY: (.*)$", report, re.M)
            if summary and summary.group(1) not in seen:
                seen.add(summary.group(1))
                print(f"--- {os.path.basename(path)}\n{report.strip()[:6000]}")


def kill_rest():
    for pid in processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def show_logs():
    for path in sorted(glob.glob(W + "/log/*")):
        text = [x for x in read(path).decode(errors="replace").splitlines() if " is mounted, worker " not in x]
        if text:
            print(f"--- {os.path.basename(path)}, last lines")
            print("\n".join("| " + line[:400] for line in text[-25:]))


def main():
    test, build, limit = os.path.realpath(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    os.umask(0o022)
    setup(build, os.path.dirname(test))
    with open(W + "/output", "wb") as out:
        proc = subprocess.Popen([test], cwd=W + "/out", env=environment(build, "--valgrind" in sys.argv), stdout=out,
                                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        code = wait_for(proc, limit)
    sys.stdout.write(read(W + "/output").decode(errors="backslashreplace"))
    problems = []
    if code is None:
        explain_timeout()
        abort_connections()
        kill_rest()
        problems.append(f"the test did not end within {limit:.0f} s")
    else:
        problems += leaks(build)
    problems += sweep()
    if code not in (0, 77) and code is not None:
        show_logs()
    if problems:
        show_sanitizer()
    for p in problems:
        print("runner:", p)
    if any("leaked" in p for p in problems):
        abort_connections()
    kill_rest()
    if not problems and code == 77:
        print(([x for x in read(W + "/output").decode(errors="replace").splitlines() if x] or ["no reason given"])[-1])
    sys.stdout.flush()
    shutil.rmtree(W + "/out", ignore_errors=True)
    os._exit(1 if problems else code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
