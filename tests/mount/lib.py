# SPDX-License-Identifier: Apache-2.0
"""What the mount tests in Python share: mounting, the fault back end, canaries, cases. See `run` for the rules of a test."""
import atexit
import contextlib
import ctypes
import errno
import os
import re
import secrets as random_secrets
import shutil
import signal
import subprocess
import sys
import time
import traceback

W = os.environ["W"]
BUILD = os.environ["SFS_BUILD"]
SRC = os.environ["SFS_SRC"]
SCALE = float(os.environ.get("SFS_TEST_SCALE", "1"))
SLOW = float(os.environ.get("SFS_TEST_SLOW", "1"))
PATIENCE = 30 * SLOW  # seconds in which what must happen has happened, on a machine with many other things to do
MODE = os.environ.get("SFS_TEST_MODE", "")  # lazy or hydrate, for mounts that say neither
SECRETFS = f"{BUILD}/secretfs"
TESTER = f"{BUILD}/tests/secretfs-test"
NOBODY = 65534
libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    pass


def skip(reason):
    raise Skip(reason)


# --- cases ---------------------------------------------------------------------------------------------------------------

_cases = []


def case(fn):
    """A promise of its own: the others of the file run although it fails."""
    _cases.append(fn)
    return fn


MODES = {"lazy": "lazy", "hydrated": "hydrate"}


def each_mode(fn):
    """A case for each mode of a mount: fn(opts) with the words that ask for it."""
    for mode, opts in MODES.items():
        def one(opts=opts):
            fn(opts)
        one.__name__ = f"{fn.__name__}_{mode}"
        case(one)
    return fn


def run_cases():
    only = os.environ.get("CASE")
    bad = skipped = 0
    for fn in _cases:
        if only and fn.__name__ != only:
            continue
        start = time.monotonic()
        try:
            fn()
            print(f"  ok {fn.__name__} {time.monotonic() - start:.1f}s")
        except Skip as e:
            skipped += 1
            print(f"  skip {fn.__name__}: {e}")
        except Exception:
            bad += 1
            print(f"  not ok {fn.__name__}")
            traceback.print_exc(file=sys.stdout)
        finally:
            sys.stdout.flush()
            unmount_all()
    if not bad and skipped == len(_cases):
        sys.exit(77)
    sys.exit(1 if bad else 0)


def check(ok, what="not so"):
    if not ok:
        raise AssertionError(what)


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: got {shorten(got)}, want {shorten(want)}")


def shorten(x):
    text = repr(x)
    return text if len(text) < 400 else f"{text[:300]}... ({len(text)} characters)"


def fails(code, fn, *args, **kw):
    """fn must fail with that errno (a number, or several)."""
    codes = (code,) if isinstance(code, int) else code
    try:
        got = fn(*args, **kw)
    except OSError as e:
        if e.errno not in codes:
            raise AssertionError(f"{fn.__name__}{args!r}: {errno.errorcode.get(e.errno, e.errno)}, want "
                                 + "/".join(errno.errorcode[c] for c in codes)) from e
        return e
    raise AssertionError(f"{fn.__name__}{args!r} succeeded with {shorten(got)}, want "
                         + "/".join(errno.errorcode[c] for c in codes))


def eventually(fn, what, seconds=0):
    """Waits until fn() is true, with patience. For what happens in another process; never for how fast something is."""
    limit = max(seconds * SLOW, PATIENCE)
    end = time.monotonic() + limit
    while True:
        late = time.monotonic() > end  # before the look: who was not scheduled for long has looked all the same
        got = fn()
        if got:
            return got
        if late:
            raise AssertionError(f"not within {limit:.0f} s: {what}")
        time.sleep(0.01)


# --- canaries ------------------------------------------------------------------------------------------------------------

def canary(label="value"):
    """A text that must appear nowhere but in what a reader reads: the runner searches all output for it."""
    text = f"CANARY{label}{random_secrets.token_hex(12)}"
    with open(f"{W}/canaries", "a") as f:
        f.write(text + "\n")
    return text


# --- files ---------------------------------------------------------------------------------------------------------------

def as_bytes(x):
    return x.encode() if isinstance(x, str) else x


def write(path, data, mode=0o600):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as f:
        f.write(as_bytes(data))
    return path


def replace(path, data, mode=0o600):
    """As a careful writer does it: a new file renamed over the old."""
    write(path + ".new~", data, mode)
    os.rename(path + ".new~", path)


def slurp(path):
    with open(path, "rb", buffering=0) as f:
        return f.read()


_numbers = {}


def fresh(kind):
    _numbers[kind] = _numbers.get(kind, 0) + 1
    return f"{kind}{_numbers[kind]}"


def workdir():
    path = f"{W}/out/{fresh('d')}"
    os.makedirs(path)
    return path


# --- running programs ----------------------------------------------------------------------------------------------------

class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}, out {shorten(self.out)}, err {shorten(self.err)}"


def run(*argv, input=None, timeout=60, env=None, uid=None, cwd=None, check_code=None, text=True):
    """Runs a program; files instead of pipes, so that a daemon that keeps a descriptor cannot hold us up."""
    base = f"{W}/out/{fresh('run')}"
    extra = {"user": uid, "group": uid, "extra_groups": []} if uid is not None else {}
    with open(base + ".out", "wb") as o, open(base + ".err", "wb") as e:
        p = subprocess.Popen(argv, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL, stdout=o, stderr=e,
                             env=env, cwd=cwd, **extra)
        try:
            p.communicate(as_bytes(input) if input is not None else None, timeout=timeout * SLOW)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
            raise AssertionError(f"{argv[0]} {argv[1:4]} did not end within {timeout * SLOW:.0f} s") from None
    out, err = slurp(base + ".out"), slurp(base + ".err")
    os.unlink(base + ".out")
    os.unlink(base + ".err")
    r = Result(p.returncode, out.decode(errors="replace") if text else out, err.decode(errors="replace") if text else err)
    if check_code is not None:
        equal(r.code, check_code, f"exit of {' '.join(map(str, argv[:4]))} ({r.err.strip()[-300:]})")
    return r


def need(*programs):
    for p in programs:
        if run("sh", "-c", f"command -v {p}").code != 0:
            skip(f"{p} is not installed")


def captured(r):
    """Puts what a command said into the sweep."""
    with open(f"{W}/log/commands", "a") as f:
        f.write(r.out + r.err)
    return r


def secretfs(*argv, **kw):
    return captured(run(kw.pop("exe", SECRETFS), *argv, **kw))


# --- processes -----------------------------------------------------------------------------------------------------------

def proc(pid, what):
    try:
        return slurp(f"/proc/{pid}/{what}")
    except OSError:
        return b""


def alive(pid):
    status = re.search(rb"^State:\s*(\S)", proc(pid, "status"), re.M)
    return status is not None and status.group(1) not in (b"Z", b"X")


def children(pid):
    found = []
    for p in os.listdir("/proc"):
        if p.isdigit():
            m = re.search(rb"^PPid:\s*(\d+)", proc(p, "status"), re.M)
            if m and int(m.group(1)) == pid:
                found.append(int(p))
    return found


def holders():
    """Processes of the holder's program, but for its helpers."""
    found = []
    for p in os.listdir("/proc"):
        if p.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{p}/exe").startswith(f"{BUILD}/secretfs-holder") and not helper_word(p):
                    found.append(int(p))
    return found


def helper_word(pid):
    """"renamer" or "spawner" if the process is that helper of a holder, else ""."""
    words = proc(pid, "cmdline").split(b"\0")
    return words[1].decode() if words[0] == b"secretfs-holder" and len(words) > 1 else ""


def helper(holder, word):
    """The process id of that helper of the holder, or None."""
    forked = lambda: [p for p in children(holder) if proc(p, "cmdline") == proc(holder, "cmdline")]
    eventually(lambda: not forked(), "the helpers were executed")
    return next((p for p in children(holder) if helper_word(p) == word), None)


def status_field(pid, name):
    m = re.search(rb"^" + name.encode() + rb":[ \t]*(.*?)[ \t]*$", proc(pid, "status"), re.M)
    return m.group(1).decode() if m else ""


# --- valgrind ------------------------------------------------------------------------------------------------------------

def under_valgrind(*options):
    """A secretfs-test whose worker runs under valgrind: `secretfs mount` starts the holder that lies beside itself; here that is a script
    which puts valgrind before the worker's command line."""
    d = f"{W}/valgrind"
    exe = f"{d}/secretfs-test"
    if not os.path.exists(exe):
        os.makedirs(d)
        os.chmod(f"{W}/log", 0o1777)
        run("cp", TESTER, exe, check_code=0)
        valgrind = " ".join((shutil.which("valgrind"), "-q", "--error-exitcode=0", f"--log-file={W}/log/valgrind.%p", *options))
        write(f"{d}/secretfs-holder", f"""#!/bin/bash
words=()
for w in "$@"; do
\twords+=("$w")
\tif [ "$w" = -- ]; then words+=({valgrind}); fi
done
exec {BUILD}/secretfs-holder "${{words[@]}}"
""", 0o755)
        os.chmod(f"{d}/secretfs-holder", 0o755)
    return exe


def sanitizer():
    """"address", "thread" or "": what the programs under test were built with."""
    binary = slurp(TESTER)
    return "address" if b"__asan_init" in binary else "thread" if b"__tsan_init" in binary else ""


if os.environ.get("SFS_TEST_VALGRIND"):
    TESTER = under_valgrind()
if sanitizer():
    SECRETFS = TESTER  # it brings the sanitizers their settings (test_main.c)


# --- mounts --------------------------------------------------------------------------------------------------------------

def mountinfo(point=None):
    """Lines of mountinfo as (id, minor, point, type, source, options), of one mount point if given."""
    rows = []
    for line in slurp("/proc/self/mountinfo").decode().splitlines():
        f = line.split()
        dash = f.index("-")
        where = f[4].encode().decode("unicode_escape")
        if point is None or where == point:
            rows.append((int(f[0]), f[2].split(":")[1], where, f[dash + 1], f[dash + 2], f[5]))
    return rows


_mounts = []


class MountFailed(Exception):
    def __init__(self, result):
        super().__init__(repr(result))
        self.result = result


class Mount:
    """A mount made by the command `secretfs mount`. Fails with MountFailed if the command does."""

    def __init__(self, source, opts="", mp=None, exe=None, env=None, log=None, prefix=(), timeout=60, snapshot=True, rate=True):
        self.mp = mp or f"{W}/m/{fresh('m')}"
        self.source, self.snapshot = source, snapshot
        self.log = log or f"{W}/log/{fresh('mount')}.log"
        self.exe = exe or (TESTER if "fault" in source or source.endswith(".conf") else SECRETFS)
        if rate and self.exe != SECRETFS and "open_rate=" not in opts:
            opts += ",open_rate=0"  # tests hammer as no program does; open-rate.test is about that
        if MODE and not source.endswith(".conf") and not re.search(r"\b(lazy|hydrate|audit)\b", opts):
            opts += f",{MODE}"
        opts = ",".join(x for x in (opts.lstrip(","), f"log={self.log}") if x)
        before = set(holders())
        self.result = captured(run(*prefix, self.exe, "mount", source, self.mp, "-o", opts, env=env, timeout=timeout))
        if self.result.code != 0:
            raise MountFailed(self.result)
        new = sorted(set(holders()) - before)
        self.holder = new[0] if new else None
        kids = children(self.holder) if self.holder else []
        self.worker = next((p for p in kids if b"\0worker\0" in proc(p, "cmdline")), None)
        _mounts.append(self)
        self.note_connection()

    def note_connection(self):
        """For the runner, which aborts what hangs at the end; numbers are used again, so what has ended is taken off the list."""
        self.connections = [row[1] for row in mountinfo(self.mp)]
        with open(f"{W}/connections", "a") as f:
            f.write("".join(c + "\n" for c in self.connections))

    def drop_connection(self):
        left = [c for c in slurp(f"{W}/connections").decode().split() if c not in self.connections]
        write(f"{W}/connections", "".join(c + "\n" for c in left))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.umount()

    def path(self, name=""):
        return f"{self.mp}/{name}" if name else self.mp

    def read(self, name):
        return slurp(self.path(name))

    def ls(self, name=""):
        return sorted(os.listdir(self.path(name)))

    def control(self, name, text):
        """One write, as echo does it."""
        fd = os.open(self.path(f".control/{name}"), os.O_WRONLY | os.O_TRUNC)
        try:
            data = as_bytes(text)
            equal(os.write(fd, data), len(data), f"bytes written to {name}")
        finally:
            os.close(fd)

    def status(self):
        import json
        return json.loads(self.read(".control/status"))

    def cached(self):
        return self.read(".control/cached").decode()

    def xattr(self, name, attr):
        return os.getxattr(self.path(name), f"user.secretfs.{attr}").decode()

    def logged(self):
        return slurp(self.log).decode(errors="replace") if os.path.exists(self.log) else ""

    def kernel_forgets(self):
        """As under memory pressure: names of this mount that nobody uses, alone; /proc/sys/vm/drop_caches is of all tests that run."""
        nosuid_nodev_noexec, remount = 2 | 4 | 8, 32
        equal(libc.mount(b"none", self.mp.encode(), None, remount | nosuid_nodev_noexec, None), 0, "remount")

    def mounted(self):
        return any(row[3] == "fuse.secretfs" for row in mountinfo(self.mp))

    def sweep(self):
        """Saves what the mount shows about itself for the runner's search for canaries."""
        if self.snapshot and self.mounted():
            self.snapshot = False
            p = subprocess.Popen([sys.executable, f"{SRC}/tests/mount/snapshot.py", self.mp, f"{W}/snap/{fresh('snap')}"])
            try:
                p.wait(timeout=10 * SLOW)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def umount(self):
        if self not in _mounts:
            return
        self.sweep()
        _mounts.remove(self)
        if self.mounted():
            r = secretfs("umount", self.mp)
            if r.code != 0:
                libc.umount2(self.mp.encode(), 2)
                raise AssertionError(f"umount {self.mp}: {r!r}")
        self.wait_end()

    def forget(self):
        """The test ends this mount by itself."""
        if self in _mounts:
            _mounts.remove(self)

    def wait_end(self):
        eventually(lambda: not (self.holder and alive(self.holder)) and not (self.worker and alive(self.worker)),
                   f"holder {self.holder} and worker {self.worker} end after the unmount")
        self.drop_connection()


def unmount_all():
    for m in list(reversed(_mounts)):
        try:
            m.umount()
        except Exception as e:
            print(f"  cleaning up: {e}")
            os.system(f"umount -l {m.mp} 2>/dev/null")
            for pid in (m.worker, m.holder):
                if pid and alive(pid):
                    os.kill(pid, signal.SIGKILL)


atexit.register(unmount_all)


def dotenv(values, path=None, mode=0o600):
    """A dotenv file of a dict; values must need no quoting beyond double quotes."""
    path = path or f"{workdir()}/secrets.env"
    replace(path, "".join(f'{k}="{v}"\n' for k, v in values.items()), mode)
    return path


# --- the fault back end (fault_backend.h) -------------------------------------------------------------------------------------------

class Fault:
    def __init__(self):
        self.dir = workdir() + "/fault"
        os.makedirs(self.dir + "/s")
        os.makedirs(self.dir + "/list")
        self.ids = {}

    @property
    def source(self):
        return f"fault:{self.dir}"

    def _dir(self, name):
        key = as_bytes(name)
        if key not in self.ids:
            self.ids[key] = f"{self.dir}/s/{fresh('id')}"
        return self.ids[key]

    def add(self, name, value=None, **facts):
        """A secret whole at once; facts: files of fault_backend.h. Keys: a dict."""
        d = self._dir(name)
        stage = f"{self.dir}/stage"
        os.makedirs(stage)
        write(stage + "/name", name)
        if value is not None:
            write(stage + "/value", value)
        for key, v in facts.pop("keys", {}).items():
            write(f"{stage}/keys/{key}", v)
        for key, v in facts.pop("versions", {}).items():
            write(f"{stage}/versions/{key}", v)
        for fact, v in facts.items():
            write(f"{stage}/{fact}", "" if v is True else str(v))
        os.rename(stage, d)
        return self

    def set(self, name, **facts):
        """Changes single files of a secret: None removes, True is an empty file."""
        for fact, v in facts.items():
            path = f"{self._dir(name)}/{fact}"
            if v is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            else:
                replace(path, b"" if v is True else v if isinstance(v, bytes) else str(v))

    def remove(self, name):
        gone = f"{self.dir}/gone{time.monotonic_ns()}"
        os.rename(self._dir(name), gone)
        del self.ids[as_bytes(name)]

    def listing(self, **facts):
        for fact, v in facts.items():
            path = f"{self.dir}/list/{fact}"
            if v is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            else:
                replace(path, b"" if v is True else v if isinstance(v, bytes) else str(v))

    def calls(self, prefix=""):
        try:
            lines = slurp(self.dir + "/calls").decode().splitlines()
        except FileNotFoundError:
            return []
        return [c for c in lines if c.startswith(prefix)]

    def gets(self, name=None):
        return len([c for c in self.calls("get ") if name is None or c == f"get {name}"])


@contextlib.contextmanager
def _knob(i):
    """A number of struct knobs (test_main.c), as a list of one."""
    with open(f"{W}/knobs", "r+b") as f:
        f.seek(8 * i)
        number = [int.from_bytes(f.read(8), "little", signed=True)]
        yield number
        f.seek(8 * i)
        f.write(int(number[0]).to_bytes(8, "little", signed=True))


def push_clock(boot, wall=None):
    """The clocks of all mounts made with secretfs-test jump forward, as after a suspend; or the wall clock alone, as somebody sets it."""
    for i, seconds in enumerate((boot, boot if wall is None else wall)):
        with _knob(i) as number:
            number[0] += seconds * 1e9


@contextlib.contextmanager
def frozen_clock():
    """The clocks of all mounts made with secretfs-test stand still: however slow the machine is, no time passes."""
    with _knob(3) as number:
        number[0] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    try:
        yield
    finally:
        with _knob(3) as number:
            number[0] = 0


def in_a_moment(fn):
    """A case during which no time passes but what it pushes."""
    def still():
        with frozen_clock():
            fn()
            unmount_all()
    still.__name__ = fn.__name__
    return case(still)


@contextlib.contextmanager
def stalled_renames():
    """No RENAME request of a mount made with secretfs-test gets an answer."""
    with _knob(2) as number:
        number[0] = 1
    try:
        yield
    finally:
        with _knob(2) as number:
            number[0] = 0


def background(*argv, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(argv, **kw)


def parked_in_open(pid):
    """Waits until the process sleeps in a request of FUSE."""
    def look():
        return b"fuse" in proc(pid, "wchan") or b"request_wait_answer" in proc(pid, "stack")
    eventually(look, f"process {pid} waits in a FUSE request")


def pending(pid, *signals):
    """Waits until all these signals wait for the process."""
    want = sum(1 << (s - 1) for s in signals)
    eventually(lambda: int(status_field(pid, "ShdPnd") or "0", 16) & want == want, f"signals {signals} are pending")


def ends(p, what):
    """Waits for the end of a process that would else hang; its exit status."""
    try:
        p.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{what}: {p.args} did not end within {PATIENCE:.0f} s") from None
    return p.returncode


def asks_nobody(m, warm, *argv):
    """Runs a program while the worker is stopped: what the kernel knows after warm() is enough for it. Its output. Under memory pressure
    the kernel may have forgotten something in between, so there is more than one try."""
    for _ in range(5):
        warm()
        os.kill(m.worker, signal.SIGSTOP)
        try:
            p = background(*argv, stdout=subprocess.PIPE, text=True)
            asks = eventually(lambda: "no" if p.poll() is not None else "yes" if b"request_wait_answer" in proc(p.pid, "stack") else None,
                              f"{argv[0]} ends or asks the worker") == "yes"
        finally:
            os.kill(m.worker, signal.SIGCONT)
        out, _ = p.communicate(timeout=PATIENCE)
        if not asks:
            equal(p.returncode, 0, f"exit of {argv[0]}")
            return out
    raise AssertionError("the kernel asked the worker each time")
