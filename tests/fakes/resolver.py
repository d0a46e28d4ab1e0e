# SPDX-License-Identifier: Apache-2.0
"""A name server on 127.0.0.1:53, for a network namespace of its own whose /etc/resolv.conf names it."""
import socket
import threading


class Resolver:
    """Answers A questions from `names`, NXDOMAIN for what is not there, and stays silent where a name's address is None."""

    def __init__(self, names):
        self.names, self.asked = names, 0
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind(("127.0.0.1", 53))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                q, peer = self.s.recvfrom(512)
            except OSError:
                return
            self.asked += 1
            labels, i = [], 12
            while q[i]:
                labels.append(q[i + 1:i + 1 + q[i]].decode())
                i += q[i] + 1
            question, kind = q[12:i + 5], q[i + 2]
            address = self.names.get(".".join(labels), "none")
            if address is None:
                continue
            head = q[:2] + (b"\x81\x80" if address != "none" else b"\x81\x83") + b"\0\x01"
            if address == "none" or kind != 1:
                self.s.sendto(head + b"\0\0\0\0\0\0" + question, peer)
            else:
                self.s.sendto(head + b"\0\x01\0\0\0\0" + question + b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04" +
                              socket.inet_aton(address), peer)
