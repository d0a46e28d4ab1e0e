# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: namespaces of their own, the file systems that are compared, the machine's description."""
import os
import platform
import statistics
import subprocess
import sys
import time


def alone(usage):
    """Goes on as root in a mount and pid namespace of its own, so that nothing is left behind whatever happens, and before what else
    wants the processors."""
    if os.geteuid() != 0:
        sys.exit(f"{usage} (as root)")
    if os.environ.get("BENCH_INSIDE") != "1":
        os.environ["BENCH_INSIDE"] = "1"
        os.nice(-20)
        os.execvp("unshare", ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", sys.executable, *map(os.fspath, sys.argv)])


def workers():
    """Pids of the processes that serve a mount."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
        except OSError:
            continue
        if len(words) > 1 and words[1] == b"worker":
            found.add(int(pid))
    return found


def memory(pid):
    """Resident memory, bytes."""
    status = dict(x.split(":", 1) for x in open(f"/proc/{pid}/status").read().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024


def machine():
    """One line: processor, cores, kernel, date, and what else went on."""
    names = [x.split(":", 1)[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")]
    virtual = "virtual machine, " if any("hypervisor" in x.split() for x in open("/proc/cpuinfo") if x.startswith("flags")) else ""
    return (f"{names[0] if names else platform.machine()}, {virtual}{os.cpu_count()} cores, Linux {platform.release()}, "
            f"{time.strftime('%Y-%m-%d', time.gmtime())}, load average {os.getloadavg()[0]:.1f}")


def spread(values, digits, lowest=False):
    """Median, then the quartiles, then perhaps the least."""
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    text = f"{quartiles[1]:.{digits}f} ({quartiles[0]:.{digits}f} to {quartiles[2]:.{digits}f}"
    return text + (f", least {min(values):.{digits}f})" if lowest else ")")


def table(head, rows):
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    line = lambda r: "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths)) + " |\n"
    return line(head) + "|" + "|".join("-" * (w + 2) for w in widths) + "|\n" + "".join(map(line, rows)) + "\n"


def put(path, marks, text):
    """Between the marks of a page that has them, else as the whole file."""
    page = open(path).read() if os.path.exists(path) else ""
    before, begin, rest = page.partition(marks[0] + "\n")
    _, end, after = rest.partition(marks[1])
    with open(path, "w") as f:
        f.write(before + begin + text + end + after if begin and end else text)


class Bench:
    def __init__(self, build):
        self.build, self.dir, self.daemons = os.path.realpath(build), "/tmp/bench", []
        os.makedirs(self.dir, exist_ok=True)
        self.sh("mount", "-t", "tmpfs", "tmpfs", self.dir)

    def sh(self, *argv, **kw):
        return subprocess.run(argv, check=True, **kw)

    def place(self, name):
        path = f"{self.dir}/{name}"
        os.makedirs(path, exist_ok=True)
        return path

    def tmpfs(self, names, value, place="tmpfs"):
        path = self.place(place)
        self.sh("mount", "-t", "tmpfs", "-o", "nr_inodes=0", "tmpfs", path)
        for n in names:
            with open(f"{path}/{n}", "w") as f:
                f.write(value)
        return path

    def nullfs(self, n, size, *words, place="nullfs"):
        """Files f000000 and so on; returns the mount point and the pid."""
        path = self.place(place)
        p = subprocess.Popen([f"{self.build}/bench/nullfs", path, str(n), str(size), *words])
        self.daemons.append(p)
        while not os.path.exists(f"{path}/f000000"):
            if p.poll() is not None:
                sys.exit(f"bench: nullfs ended with status {p.returncode}")
            time.sleep(0.01)
        return path, p.pid

    def secretfs(self, names, value, opts="", place="secretfs"):
        """Returns the mount point and the pid of its worker."""
        path, env = self.place(place), f"{self.dir}/{place}.env"
        with open(env, "w") as f:
            f.writelines(f"{n}={value}\n" for n in names)
        before = workers()
        words = ",".join(x for x in (f"log={self.dir}/{place}.log", opts) if x)
        self.sh(f"{self.build}/secretfs", "mount", f"file:{env}", path, "-o", words)
        return path, (workers() - before).pop()

    def umount(self, path):
        self.sh(f"{self.build}/secretfs", "umount", path)

    def end(self):
        for p in self.daemons:
            p.terminate()
            p.wait()
        self.daemons.clear()
