# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 server that does wrong on purpose, on a loopback port of its own, with or without TLS. What it does is the first
part of the path; see the functions named do_*. Every request it got is in .seen."""
import gzip
import socket
import ssl
import struct
import threading
import time
from email.utils import formatdate

VALUE = b'{"SecretString":"correct horse battery staple"}'


class Request:
    def __init__(self, method, path, headers, body, peer):
        self.method, self.path, self.headers, self.body, self.peer = method, path, headers, body, peer


class Closed(Exception):
    pass


class Server:
    """.url is where it listens. `tls`: an ssl.SSLContext; `host`: the name in .url."""

    def __init__(self, tls=None, host="127.0.0.1", accept=True):
        self.tls, self.seen, self.connections, self.over = tls, [], 0, False
        self.count = {}
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        if accept:
            threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.over = True
        self.listener.close()

    def accept(self):
        while not self.over:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                s = self.tls.wrap_socket(s, server_side=True)
            self.connections += 1
            data = b""
            while True:
                data = self.one(s, data)
        except (Closed, OSError, ValueError):
            pass
        finally:
            s.close()

    def one(self, s, data):
        while b"\r\n\r\n" not in data:
            more = s.recv(65536)
            if not more:
                raise Closed
            data += more
            if data[0] == 0x16:  # TLS, which is not spoken here
                s.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                raise Closed
        head, data = data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines[1:]]
        length = int(dict((k.lower(), v) for k, v in headers).get("content-length", 0))
        while len(data) < length:
            data += s.recv(65536)
        rq = Request(method, path, headers, data[:length], s)
        with self.lock:
            self.seen.append(rq)
            what, *args = path.strip("/").split("?")[0].split("/")
            n = self.count[path] = self.count.get(path, 0) + 1
        getattr(self, "do_" + what.replace("-", "_"))(s, rq, args, n)
        return data[length:]

    @staticmethod
    def reply(s, body=VALUE, status="200 OK", headers=(), length=True):
        head = [f"HTTP/1.1 {status}", "Date: " + formatdate(usegmt=True), *headers]
        if length:
            head.append(f"Content-Length: {len(body)}")
        s.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    @staticmethod
    def end(s):
        """Ends the connection properly: close_notify, then FIN."""
        if isinstance(s, ssl.SSLSocket):
            s = s.unwrap()
        s.close()
        raise Closed

    # ---- answers ----

    def do_ok(self, s, rq, args, n):
        self.reply(s)

    def do_echo(self, s, rq, args, n):
        self.reply(s, rq.method.encode() + b" " + rq.body)

    def do_size(self, s, rq, args, n):
        self.reply(s, b"x" * int(args[0]))

    def do_status(self, s, rq, args, n):
        """/status/CODE[/TIMES]: that status TIMES times, then 200."""
        if len(args) > 1 and n > int(args[1]):
            return self.reply(s)
        self.reply(s, b"{}", args[0] + " No")

    def do_after(self, s, rq, args, n):
        """/after/CODE/RETRY-AFTER: once, then 200."""
        if n > 1:
            return self.reply(s)
        self.reply(s, b"{}", args[0] + " No", ["Retry-After: " + args[1].replace("%20", " ")])

    def do_stall(self, s, rq, args, n):
        time.sleep(300)

    def do_slow(self, s, rq, args, n):
        time.sleep(float(args[0]))
        self.reply(s)

    def do_drip(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(3000):
            s.sendall(b"x")
            time.sleep(0.1)

    def do_cut(self, s, rq, args, n):
        """/cut/N: all of the length promised, N bytes sent, a proper end."""
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(VALUE) + VALUE[:int(args[0])])
        self.end(s)

    def do_cut_chunked(self, s, rq, args, n):
        k = int(args[0])
        s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if k:
            s.sendall(b"%x\r\n%s\r\n" % (k, VALUE[:k]))
        self.end(s)

    def do_close(self, s, rq, args, n):
        """/close/N: no length, N bytes, a proper end."""
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + VALUE[:int(args[0])])
        self.end(s)

    def do_number(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n12345")
        self.end(s)

    def do_reset(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(VALUE) + VALUE[:10])
        time.sleep(0.05)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Closed

    def do_nothing(self, s, rq, args, n):
        self.end(s)

    def do_hang_up_once(self, s, rq, args, n):
        if n == 1:
            self.end(s)
        self.reply(s)

    def do_endless(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            s.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    def do_bomb(self, s, rq, args, n):
        self.reply(s, gzip.compress(b"x" * 50_000_000), headers=["Content-Encoding: gzip"])

    def do_te_bomb(self, s, rq, args, n):
        body = gzip.compress(b"x" * 50_000_000)
        s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    def do_headers(self, s, rq, args, n):
        self.reply(s, headers=[f"X-{i}: y" for i in range(int(args[0]))])

    def do_long_header(self, s, rq, args, n):
        self.reply(s, headers=["X-Long: " + "y" * int(args[0])])

    def do_interim(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * int(args[0]))
        self.reply(s)

    def do_lengths(self, s, rq, args, n):
        self.reply(s, headers=["Content-Length: 5"])

    def do_length_and_chunked(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")

    def do_negative(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}")
        self.end(s)

    def do_bad_chunk(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")
        self.end(s)

    def do_old(self, s, rq, args, n):
        s.sendall(b"no headers at all\r\n")
        self.end(s)

    def do_nul_header(self, s, rq, args, n):
        self.reply(s, headers=["X-A: a\0b"])

    def do_esc_header(self, s, rq, args, n):
        self.reply(s, headers=["X-A: a\x1b[31m"])

    def do_no_colon(self, s, rq, args, n):
        self.reply(s, headers=["nonsense"])

    def do_html(self, s, rq, args, n):
        self.reply(s, b"<html>log in</html>", headers=["Content-Type: text/html"])

    def do_empty(self, s, rq, args, n):
        self.reply(s, b"")

    def do_no_content(self, s, rq, args, n):
        s.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def do_redirect(self, s, rq, args, n):
        """/redirect/CODE?URL"""
        self.reply(s, b"", args[0] + " Elsewhere", ["Location: " + rq.path.split("?", 1)[1]])


class Proxy(Server):
    """CONNECT, as told by `how`: pass (to the port asked for, on loopback), deny, want-auth, drop, or a Server to lead astray to."""

    def __init__(self, how, **kw):
        self.how = how
        super().__init__(**kw)

    def one(self, s, data):
        while b"\r\n\r\n" not in data:
            more = s.recv(65536)
            if not more:
                raise Closed
            data += more
        lines = data.decode("latin-1").split("\r\n")
        self.seen.append(Request(*lines[0].split(" ")[:2], lines[1:], b"", s))
        if self.how == "drop":
            raise Closed
        if self.how in ("want-auth", "deny"):
            code = "407 Proxy Authentication Required" if self.how == "want-auth" else "403 Forbidden"
            s.sendall(f"HTTP/1.1 {code}\r\nContent-Length: 0\r\n\r\n".encode())
            raise Closed
        port = self.how.port if isinstance(self.how, Server) else int(lines[0].split(" ")[1].rsplit(":", 1)[1])
        other = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        threading.Thread(target=self.pump, args=(other, s), daemon=True).start()
        self.pump(s, other)
        raise Closed

    @staticmethod
    def pump(a, b):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                b.sendall(data)
        except OSError:
            pass
        try:
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass
