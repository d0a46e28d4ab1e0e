#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""snapshot.py MOUNT DIR: copies what a mount shows about itself, without any value, into files below DIR: control files, xattrs, .meta, and the
command lines and environments of its processes. The runner searches them for canaries (R11)."""
import os
import sys

MAX_NAMES = 200


def keep(out, name, data):
    with open(f"{out}/{name}", "ab") as f:
        f.write(data + b"\n")


def read(path):
    try:
        with open(path, "rb", buffering=0) as f:
            return f.read()
    except OSError as e:
        return str(e).encode()


def control(mount, out):
    for name in ("hydrate", "purge", "refresh", "ttl", "cached", "status", "metrics", "config", "list/all"):
        keep(out, name.replace("/", "-"), read(f"{mount}/.control/{name}"))


def events(mount, out):
    """Where files are opened at the daemon a read at the end would wait."""
    try:
        fd = os.open(f"{mount}/.control/events", os.O_RDONLY | os.O_NONBLOCK)
        try:
            while data := os.read(fd, 1 << 20):
                keep(out, "events", data)
        finally:
            os.close(fd)
    except OSError as e:
        keep(out, "events", str(e).encode())


def names(mount):
    for d, dirs, files in os.walk(os.fsencode(mount)):
        for f in dirs + files:
            yield os.path.relpath(os.path.join(d, f), os.fsencode(mount))


def attributes(mount, out):
    for i, name in enumerate(names(mount)):
        if i == MAX_NAMES:
            break
        path = os.path.join(os.fsencode(mount), name)
        try:
            for attr in os.listxattr(path):
                keep(out, "xattrs", name + b" " + attr.encode() + b"=" + os.getxattr(path, attr))
        except OSError as e:
            keep(out, "xattrs", name + b" " + str(e).encode())
        if os.path.isfile(path):
            keep(out, "meta", read(os.path.join(os.fsencode(mount), b".meta", name)))


def program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def processes(out):
    for pid in os.listdir("/proc"):
        if pid.isdigit() and program(pid).startswith("secretfs"):
            for what in ("cmdline", "environ", "comm"):
                keep(out, "processes", read(f"/proc/{pid}/{what}"))


def main():
    mount, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    processes(out)
    control(mount, out)
    events(mount, out)
    attributes(mount, out)


main()
