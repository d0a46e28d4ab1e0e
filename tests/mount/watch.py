# SPDX-License-Identifier: Apache-2.0
"""inotify for tests: a Watch collects events as texts like "MOVED_TO x", "CREATE,ISDIR d", "ATTRIB"."""
import ctypes
import os
import select
import struct
import time

from lib import PATIENCE, as_bytes, equal, libc

FLAGS = {0x2: "MODIFY", 0x4: "ATTRIB", 0x40: "MOVED_FROM", 0x80: "MOVED_TO", 0x100: "CREATE", 0x200: "DELETE", 0x400: "DELETE_SELF",
         0x800: "MOVE_SELF", 0x2000: "UNMOUNT", 0x4000: "Q_OVERFLOW", 0x8000: "IGNORED"}
CHANGES = 0xFC6  # everything but accesses, opens and closes
ISDIR = 0x40000000
HEAD = struct.Struct("iIII")


class Watch:
    def __init__(self, path, mask=CHANGES):
        self.events = []
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, as_bytes(path), mask) < 0:
            error = OSError(ctypes.get_errno(), "inotify", path)
            if self.fd >= 0:
                os.close(self.fd)
            raise error

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.fd)

    def take(self):
        """Everything that has happened until now."""
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return self.events
            while data:
                _, mask, _, size = HEAD.unpack_from(data)
                name = data[HEAD.size:HEAD.size + size].rstrip(b"\0").decode()
                words = [w for bit, w in FLAGS.items() if mask & bit] + ["ISDIR"] * bool(mask & ISDIR)
                self.events.append(f"{','.join(words)} {name}".strip())
                data = data[HEAD.size + size:]

    def until(self, done, what):
        """Waits until done(events)."""
        end = time.monotonic() + PATIENCE
        while not done(self.take()):
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within {PATIENCE:.0f} s: {what}; events: {self.events}")
            select.select([self.fd], [], [], left)

    def wait(self, *wanted):
        """Waits until one of these events has come."""
        self.until(lambda events: any(w in events for w in wanted), " or ".join(wanted))

    def got(self, *wanted):
        """Takes the events so far, which must be exactly these."""
        equal(self.take(), list(wanted), "events")
        self.events = []
