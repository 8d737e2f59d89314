"""Clients that hold connections. Each attack keeps a number of them open, from several loopback addresses.

Usage: attackers.py ATTACK PORT
"""

import contextlib
import errno
import resource
import select
import socket
import sys
import time

# The first one is the address from which the scraper connects too.
SOURCES = ["127.0.0.1", *(f"127.0.1.{number}" for number in range(1, 40))]
# How many new connections one round opens. More would fill the backlog of the listener.
OPENED_IN_ROUND = 500
ROUND_SECONDS = 0.1
# A small window, so that the answer waits in the server and not in this process.
RECEIVE_BUFFER = 4096
SLOW_READ = 512

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"


class Client:
    """One connection of the attack."""

    def __init__(self, port, number, first):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.bind((SOURCES[number % len(SOURCES)], 0))
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self.socket.connect(("127.0.0.1", port))
        self.first = first
        self.sent = False

    def start(self):
        """Sends the beginning of the attack once the connection is open."""
        if not self.sent:
            with contextlib.suppress(BlockingIOError):
                self.socket.send(self.first)
                self.sent = True


def idle(client):
    client.start()


def drip(client):
    client.start()
    if client.sent:
        with contextlib.suppress(BlockingIOError):
            client.socket.send(b"x")


def slow(client):
    client.start()
    with contextlib.suppress(BlockingIOError):
        if not client.socket.recv(SLOW_READ) and client.sent:
            raise ConnectionResetError


# For each attack: the number of clients, what each sends first, what it does in each second.
ATTACKS = {
    "idle": (10_000, b"", idle),
    "drip": (1_000, REQUEST + b"X-Drip: ", drip),
    "slow": (500, REQUEST + b"\r\n", slow),
}


def is_closed(client):
    """Whether the server has closed the connection of a client that expects no answer."""
    try:
        return client.socket.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False


def main():
    attack, port = sys.argv[1], int(sys.argv[2])
    wanted, first, act = ATTACKS[attack]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    poller = select.poll()
    clients, opened = {}, 0

    def close(client):
        poller.unregister(client.socket)
        del clients[client.socket.fileno()]
        client.socket.close()

    def step(client, action):
        try:
            action(client)
        except OSError as error:
            # While the connection is not open yet, sending fails in this way.
            if error.errno not in (errno.ENOTCONN, errno.EPIPE) or client.sent:
                close(client)

    acted = time.monotonic()
    while True:
        for _ in range(min(wanted - len(clients), OPENED_IN_ROUND)):
            client = Client(port, opened, first)
            opened += 1
            clients[client.socket.fileno()] = client
            poller.register(client.socket, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        time.sleep(ROUND_SECONDS)
        for descriptor, _ in poller.poll(0):
            close(clients[descriptor])
        for client in list(clients.values()):
            step(client, Client.start)
        if time.monotonic() - acted >= 1:
            acted = time.monotonic()
            for client in list(clients.values()):
                step(client, act)


if __name__ == "__main__":
    main()
