# SPDX-License-Identifier: Apache-2.0
"""A network behind a bad line: a second network namespace that reaches this one through two TUN devices, between which every packet
is carried by hand: late, or not at all. Linux' own netem is used instead where the kernel has it.

    with Link() as link:                      LinkMissing says why there can be none here
        server on link.near                   the address of this side
        run(*link.inside, "program")          a program on the other side
        link.bad(loss=0.3, delay=2.0)         30 % of the packets are lost, the others take 2 s there and back
        link.good()
        link.cut()                            nothing arrives
"""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 2048


class LinkMissing(Exception):
    """This machine cannot have one, and why."""


def tool(*argv):
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if r.returncode != 0:
        raise LinkMissing(f"{' '.join(argv)}: {r.stderr.strip()}")


class Link:
    near, far = "10.231.7.1", "10.231.7.2"

    def __init__(self):
        self.loss, self.delay, self.netem = 0.0, 0.0, False
        self.sent = self.lost = 0
        self.random = random.Random(os.environ.get("SFS_TEST_SEED", "1"))
        self.late, self.serial = [], 0  # heap of (due, serial, descriptor, packet)
        self.over = threading.Event()
        self.fds = []

    def __enter__(self):
        try:
            self.fds.append(self.device("near0", self.near, self.far))
            self.make_other_side()
        except BaseException:
            self.close()
            raise
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.thread.join()
        self.close()

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    @staticmethod
    def device(name, own, peer):
        """In the network namespace of the calling thread."""
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as e:
            raise LinkMissing(f"/dev/net/tun: {e.strerror}") from e
        try:
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
            tool("ip", "addr", "add", own, "peer", peer, "dev", name)
            tool("ip", "link", "set", name, "up")
        except OSError as e:
            os.close(fd)
            raise LinkMissing(f"a TUN device: {e.strerror}") from e
        except LinkMissing:
            os.close(fd)
            raise
        return fd

    def make_other_side(self):
        """A network namespace is a thread's: one makes it, and the descriptor keeps it."""
        failed = []

        def main():
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET) != 0:
                failed.append(LinkMissing(f"a network namespace: {os.strerror(ctypes.get_errno())}"))
                return
            self.fds.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            try:
                tool("ip", "link", "set", "lo", "up")
                self.fds.append(self.device("far0", self.far, self.near))
            except LinkMissing as e:
                failed.append(e)
        t = threading.Thread(target=main)
        t.start()
        t.join()
        if failed:
            raise failed[0]

    @property
    def inside(self):
        """What to put before a command line."""
        return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fds[1]}")

    # --- how it is ---

    def bad(self, loss, delay):
        self.netem = self.has_netem(loss, delay)
        self.loss, self.delay = (0.0, 0.0) if self.netem else (loss, delay)

    def has_netem(self, loss, delay):
        try:
            tool("tc", "qdisc", "replace", "dev", "near0", "root", "netem", "delay", f"{delay * 1000:.0f}ms", "loss", f"{loss * 100:.0f}%")
        except (LinkMissing, FileNotFoundError):
            return False
        return True

    def good(self):
        if self.netem:
            tool("tc", "qdisc", "del", "dev", "near0", "root")
        self.loss, self.delay, self.netem = 0.0, 0.0, False

    def cut(self):
        self.good()
        self.loss = 1.0

    # --- carrying ---

    def carry(self):
        near, _, far = self.fds
        other = {near: far, far: near}
        while not self.over.is_set():
            wait = min(0.05, max(0.0, self.late[0][0] - time.monotonic())) if self.late else 0.05
            for fd in select.select([near, far], [], [], wait)[0]:
                self.take(fd, other[fd], self.delay if fd == near else 0.0)
            while self.late and self.late[0][0] <= time.monotonic():
                self.give(*heapq.heappop(self.late)[2:])

    def take(self, fd, to, delay):
        packet = os.read(fd, MTU)
        self.sent += 1
        if self.random.random() < self.loss:
            self.lost += 1
            return
        self.serial += 1
        heapq.heappush(self.late, (time.monotonic() + delay, self.serial, to, packet))

    @staticmethod
    def give(fd, packet):
        try:
            os.write(fd, packet)
        except OSError:
            pass  # a queue that is full loses packets, too
