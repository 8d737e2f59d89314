"""Clients that hold connections or guess passwords, from 40 loopback addresses of which one is the scraper's own.

Usage: attackers.py ATTACK PORT plain|tls

A client whose connection was closed opens another one. SIGTERM ends them, and prints what they did as JSON.
"""

import base64
import contextlib
import errno
import json
import resource
import select
import signal
import socket
import ssl
import sys
import time

# The first one is the address from which the scraper connects too.
SOURCES = ["127.0.0.1", *(f"127.0.1.{number}" for number in range(1, 40))]
# How many new connections all clients together open. More at once would fill the backlog of the listener.
OPENED_PER_SECOND = 5_000
# A small window, so that the answer waits in the server and not in this process.
RECEIVE_BUFFER = 4096
SLOW_READ = 512

REQUEST = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
# Half of the guesses name a user that exists.
USERS = ["prometheus", "admin"]

# The operation cannot go on before the socket is ready.
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def login(user, password):
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() + "\r\n"


class Client:
    """One connection of the attack."""

    def __init__(self, port, number, tls, answers):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.bind((SOURCES[number % len(SOURCES)], 0))
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.socket.connect(("127.0.0.1", port))
        self.number, self.tls, self.answers = number, tls, answers
        self.secured, self.sent = tls is None, False

    def send(self, text):
        """Sends `text`, if the connection is ready for it."""
        with contextlib.suppress(*NOT_YET):
            if not self.secured:
                if not isinstance(self.socket, ssl.SSLSocket):
                    # Fails while the connection is not open yet.
                    self.socket.getpeername()
                    self.socket = self.tls.wrap_socket(self.socket, do_handshake_on_connect=False)
                self.socket.do_handshake()
                self.secured = True
            self.socket.send(text.encode())
            self.sent = True
            return True
        return False

    def receive(self, size):
        """Whether the server sent something; an error if it closed the connection."""
        with contextlib.suppress(*NOT_YET):
            if not self.socket.recv(size):
                raise ConnectionResetError
            return True
        return False


def idle(_client):
    """Does nothing with its connection."""


def drip(client):
    """Sends a header, one byte a second."""
    client.send("x" if client.sent else f"{REQUEST}X-Drip: ")


def slow(client):
    """Asks for the metrics, and reads them slowly."""
    if client.sent or client.send(f"{REQUEST}{login('prometheus', 'secret')}\r\n"):
        client.receive(SLOW_READ)


def guess(client):
    """Sends a wrong password, and another one for each answer."""
    if client.sent:
        if not client.receive(4096):
            return
        client.answers[0] += 1
    client.sent = False
    user = USERS[client.number % len(USERS)]
    client.send(f"{REQUEST}{login(user, f'{client.number} {client.answers[0]}')}\r\n")


# For each attack: the number of clients, the seconds of a round, in which new clients are opened, the seconds between
# two actions of each client, and what it does.
ATTACKS = {
    "idle": (10_000, 0.1, 1, idle),
    "drip": (1_000, 0.1, 1, drip),
    "slow": (500, 0.1, 1, slow),
    "guess": (500, 0.01, 0, guess),
}


def main():
    attack, port, security = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    wanted, round_seconds, pause, act = ATTACKS[attack]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    tls = None
    if security == "tls":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    poller = select.poll()
    clients, opened, answers = {}, 0, [0]

    def close(client):
        descriptor = client.socket.fileno()
        poller.unregister(descriptor)
        del clients[descriptor]
        client.socket.close()

    def step(client):
        try:
            act(client)
        except OSError as error:
            # While the connection is not open yet, sending fails in this way.
            if error.errno not in (errno.ENOTCONN, errno.EPIPE) or client.sent:
                close(client)

    try:
        acted = time.monotonic()
        while True:
            for _ in range(min(wanted - len(clients), int(OPENED_PER_SECOND * round_seconds))):
                client = Client(port, opened, tls, answers)
                opened += 1
                clients[client.socket.fileno()] = client
                poller.register(client.socket, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
            time.sleep(round_seconds)
            for descriptor, _ in poller.poll(0):
                close(clients[descriptor])
            if time.monotonic() - acted >= pause:
                acted = time.monotonic()
                for client in list(clients.values()):
                    step(client)
    finally:
        print(json.dumps({"opened": opened, "answers": answers[0]}), flush=True)


if __name__ == "__main__":
    main()
