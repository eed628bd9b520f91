"""A server on this machine that takes connections and answers too slowly, or not at all."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


@contextmanager
def dripping(answer: bytes = b"", pause: float = 0.05, *, at_once: int = 0) -> Iterator[int]:
    """Its port. To each connection it gives the answer a byte after each pause, but so many bytes `at_once`, and then nothing
    more; without an answer it is silent."""
    over, listening = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if answer:
                connection.recv(1 << 16)
                connection.sendall(answer[:at_once])
            for byte in answer[at_once:]:
                if over.wait(pause):
                    return
                connection.sendall(bytes([byte]))
            over.wait()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listening.accept()[0]], daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
