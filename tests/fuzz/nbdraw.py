"""nbdraw - the NBD protocol by hand, so that a client can also be wrong: a
handshake, requests of any shape, replies taken apart. A connection only fills
and drains buffers; pump() moves them for several at once. Must never wait for
ever, nor take a reply that it did not ask for.
"""
import selectors
import socket
import struct
import time

READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZERO, STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = 1, 2, 4, 8, 16
MAGIC_REQUEST, MAGIC_SIMPLE, MAGIC_STRUCTURED = 0x25609513, 0x67446698, 0x668e33ef
OPTION = 0x49484156454F5054
OPT_GO, OPT_STRUCTURED, OPT_SET_CONTEXT = 7, 8, 10
ERRORS = {1: "EPERM", 5: "EIO", 12: "ENOMEM", 22: "EINVAL", 28: "ENOSPC",
          75: "EOVERFLOW", 95: "ENOTSUP", 108: "ESHUTDOWN"}


class Broken(Exception):
    """The server hung up, or answers what makes no sense ("wrong" is set)."""

    def __init__(self, why, wrong=False):
        super().__init__(why)
        self.wrong = wrong


class Reply:
    def __init__(self):
        self.error = 0
        self.data = []		# (offset, bytes) and (offset, length of zeroes)
        self.extents = []	# (length, flags)


class Connection:
    """After the handshake. structured is what was agreed on; size the export's."""

    def __init__(self, path, export=b"", structured=True, context=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.structured = self.context = False
        self.out, self.inp = bytearray(), bytearray()
        self.asked = {}		# cookie -> (kind, offset, count, Reply)
        try:
            self.sock.connect(path)
            self.greet(export, structured, context)
        except (OSError, struct.error) as e:
            self.sock.close()
            raise Broken(f"handshake: {e}") from e

    def take(self, count):
        got = b""
        while len(got) < count:
            piece = self.sock.recv(count - len(got))
            if not piece:
                raise Broken("hung up in the handshake")
            got += piece
        return got

    def option(self, number, data):
        """Sends an option; the list of (type, data) of its replies."""
        self.sock.sendall(struct.pack(">QII", OPTION, number, len(data)) + data)
        answers = []
        while True:
            _, _, kind, length = struct.unpack(">QIII", self.take(20))
            answers.append((kind, self.take(length)))
            if kind == 1 or kind & 1 << 31:
                return answers

    def greet(self, export, structured, context):
        self.take(18)
        self.sock.sendall(struct.pack(">I", 3))
        if structured:
            self.structured = self.option(OPT_STRUCTURED, b"")[-1][0] == 1
        if structured and context:
            name = b"base:allocation"
            data = struct.pack(">I", len(export)) + export + struct.pack(">II", 1, len(name)) + name
            self.context = self.option(OPT_SET_CONTEXT, data)[-1][0] == 1
        answers = self.option(OPT_GO, struct.pack(">I", len(export)) + export + struct.pack(">H", 0))
        if answers[-1][0] != 1:
            raise Broken("the export is refused")
        for kind, data in answers:
            if kind == 3 and data[:2] == b"\0\0":
                self.size, self.flags = struct.unpack(">QH", data[2:12])
        self.sock.setblocking(False)

    def ask(self, kind, flags, cookie, offset, count, payload=b""):
        self.asked[cookie] = (kind, offset, count, Reply())
        self.out += struct.pack(">IHHQQI", MAGIC_REQUEST, flags, kind, cookie, offset, count)
        self.out += payload

    def close(self):
        self.sock.close()

    def chunk(self):
        """Takes one reply or chunk out of the buffer; (cookie, Reply) when that
        ends its request, (None, None) when more is to come, else None."""
        if len(self.inp) < 16:
            return None
        magic, = struct.unpack(">I", self.inp[:4])
        if magic == MAGIC_SIMPLE:
            error, cookie = struct.unpack(">IQ", self.inp[4:16])
            kind, offset, count, reply = self.known(cookie)
            length = count if kind == READ and not error else 0
            if kind == READ and self.structured:
                raise Broken("a simple reply to a read, structured ones agreed on", True)
            if len(self.inp) < 16 + length:
                return None
            reply.error = error
            if length:
                reply.data.append((offset, bytes(self.inp[16:16 + length])))
            del self.inp[:16 + length]
            del self.asked[cookie]
            return cookie, reply
        if magic != MAGIC_STRUCTURED or len(self.inp) < 20:
            if magic == MAGIC_STRUCTURED:
                return None
            raise Broken(f"a reply begins with {magic:#x}", True)
        flags, kind, cookie, length = struct.unpack(">HHQI", self.inp[4:20])
        if length > 70 << 20:
            raise Broken(f"a chunk of {length} bytes", True)
        if len(self.inp) < 20 + length:
            return None
        _, _, _, reply = self.known(cookie)
        body = bytes(self.inp[20:20 + length])
        del self.inp[:20 + length]
        if kind == 1:
            reply.data.append((struct.unpack(">Q", body[:8])[0], body[8:]))
        elif kind == 2:
            reply.data.append(struct.unpack(">QI", body))
        elif kind == 5:
            reply.extents += struct.iter_unpack(">II", body[4:])
        elif kind & 1 << 15:
            reply.error, = struct.unpack(">I", body[:4])
        elif kind != 0:
            raise Broken(f"a chunk of kind {kind}", True)
        if not flags & 1:
            return None, None
        del self.asked[cookie]
        return cookie, reply

    def known(self, cookie):
        if cookie not in self.asked:
            raise Broken(f"a reply to {cookie}, which nobody asked", True)
        return self.asked[cookie]


def pump(connections, patience=120):
    """Sends and receives until all that was asked is answered or its connection
    is broken. Yields (connection, cookie, Reply or Broken)."""
    selector = selectors.DefaultSelector()
    open_ones = {c for c in connections if c.asked or c.out}
    for c in open_ones:
        selector.register(c.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, c)
    end = time.monotonic() + patience
    while open_ones:
        if time.monotonic() > end:
            raise Broken(f"no answer within {patience} s", True)
        for key, events in selector.select(1):
            c = key.data
            try:
                if events & selectors.EVENT_WRITE and c.out:
                    del c.out[:c.sock.send(memoryview(c.out)[:1 << 20].tobytes())]
                if not c.out:
                    selector.modify(c.sock, selectors.EVENT_READ, c)
                if events & selectors.EVENT_READ:
                    data = c.sock.recv(1 << 20)
                    if not data:
                        raise Broken("hung up")
                    c.inp += data
                    while (found := c.chunk()) is not None:
                        if found[0] is not None:
                            yield c, *found
            except BlockingIOError:
                continue
            except (OSError, Broken) as e:
                why = e if isinstance(e, Broken) else Broken(str(e))
                selector.unregister(c.sock)
                open_ones.remove(c)
                yield c, None, why
                continue
            if not c.asked and not c.out:
                selector.unregister(c.sock)
                open_ones.remove(c)
    selector.close()
