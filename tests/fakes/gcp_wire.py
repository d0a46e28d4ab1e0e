# SPDX-License-Identifier: Apache-2.0
"""What the replies of tests/fakes/gcp.py are made of: errors, times, checksums, page tokens, partial answers, and faults instead."""
import base64
import hashlib
import json
import re
import time
from datetime import datetime, timezone

STATES = {"ENABLED": 1, "DISABLED": 2, "DESTROYED": 3}
HTTP = {"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404}
HTML = "text/html; charset=UTF-8"
NOT_HERE = ("<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error 404 (Not Found)!!1</title>\n  <p><b>404.</b> <ins>That’s an "
            "error.</ins>\n  <p>The requested URL was not found on this server.  <ins>That’s all we know.</ins>\n")


class Refused(Exception):
    """An answer that is an error of the service."""

    def __init__(self, status, message, reason=None, code=None, details=(), domain="googleapis.com", **metadata):
        self.status, self.message, self.code = status, message, code or HTTP[status]
        self.details = list(details)
        if reason:
            self.details.insert(0, {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain, "metadata": metadata})

    def body(self):
        e = {"code": self.code, "message": self.message, "status": self.status}
        return json.dumps({"error": {**e, "details": self.details} if self.details else e}, indent=2, ensure_ascii=False)


def stamp(at, i=0):
    """RFC 3339 with nine, six, three or no digits behind the point: all of them are sent."""
    digits = (6, 3, 0, 9)[i % 4]
    text = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{int(at % 1 * 10**9):09}"[:len(text) + 1 + digits if digits else len(text)] + "Z"


def etag(*of):
    return f'"{hashlib.sha256(repr(of).encode()).hexdigest()[:14]}"'


def crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


TABLE = crc_table()


def crc32c(data):
    """Castagnoli's polynomial, by the definition."""
    crc = 0xFFFFFFFF
    for b in data:
        crc = TABLE[(crc ^ b) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def number_of(text):
    if not re.fullmatch(r"\d{1,9}", text):
        raise Refused("INVALID_ARGUMENT", f"Invalid value at 'page_size' (TYPE_INT32), \"{text}\"")
    return int(text)


def token_of(offset, bound):
    """Every character that must be encoded in a query is in it."""
    seal = hashlib.sha256(f"{bound}:{offset}".encode()).hexdigest()[:20]
    return base64.b64encode(b"\xfb\xff\xbe" + f"{offset}:{seal}".encode()).decode().rstrip("=") + "+/=="


def offset_of(token, bound):
    if not token:
        return 0
    text = token.removesuffix("+/==")
    data = base64.b64decode(text + "=" * (-len(text) % 4)) if re.fullmatch(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3})?", text) else b""
    m = re.match(rb"\xfb\xff\xbe(\d{1,9}):", data)
    if not m or token_of(int(m[1]), bound) != token:
        raise Refused("INVALID_ARGUMENT", "The page token is invalid.")
    return int(m[1])


def masked(answer, fields):
    """The part of a reply that `fields` asks for: a,b(c,d),e/f."""
    want, depth, at = [], 0, 0
    for i, c in enumerate(fields + ","):
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            want.append(fields[at:i])
            at = i + 1
    found = {}
    for w in want:
        m = re.fullmatch(r"([A-Za-z0-9]+)(?:[/.](.+)|\((.+)\))?", w)
        if not m:
            raise Refused("INVALID_ARGUMENT", f"Invalid field selection {w}")
        inner, have = m[2] or m[3], answer.get(m[1])
        if have is None:
            continue
        if inner and isinstance(have, list):
            have = [masked(x, inner) for x in have]
        elif inner:
            have = {**found.get(m[1], {}), **masked(have, inner)}
        found[m[1]] = have
    return found


def enums_as_numbers(answer):
    for e in [answer, *answer.get("versions", [])]:
        if e.get("state") in STATES:
            e["state"] = STATES[e["state"]]
    return answer


def drain(handler):
    handler.rfile.read(int(handler.headers.get("Content-Length", 0)))


def reply(handler, status, body, kind="application/json; charset=UTF-8", extra=(), short=0):
    data = body if isinstance(body, bytes) else body.encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(data)))
    handler.send_header("Server", "ESF")
    for name, value in extra:
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data[:len(data) - short])
    if short:
        handler.close_connection = True


def refuse(handler, e):
    extra = [("WWW-Authenticate", 'Bearer realm="https://accounts.google.com/"')] if e.code == 401 else []
    reply(handler, e.code, e.body(), extra=extra)


def perform_fault(handler, what):
    """True if that was the answer."""
    if what.get("stall"):
        time.sleep(what["stall"])
    if what.get("cut"):
        handler.close_connection = True
        handler.connection.close()
        return True
    if "raw" in what:
        status, headers, body = what["raw"]
        kind = dict(headers).get("Content-Type", "application/json; charset=UTF-8")
        reply(handler, status, body, kind, [x for x in headers if x[0] != "Content-Type"], what.get("short", 0))
        return True
    if "error" in what:
        code, status, message, *more = what["error"]
        refuse(handler, Refused(status, message, more[0] if more else None, code, more[1] if len(more) > 1 else ()))
        return True
    if "answer" in what:
        answer = what["answer"]
        reply(handler, 200, answer if isinstance(answer, (str, bytes)) else json.dumps(answer), short=what.get("short", 0))
        return True
    return False
