#!/bin/bash
# client-stalls.sh
# attack: sends half a request, and a flood of requests without reading the answers
# claim: NBD clients
# expect: harms only itself: another client is served at once
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
ulimit -S -v unlimited	# stacks of 16 threads for each client
serve
/usr/bin/python3 - "$work/sock" "$here" <<'PYTHON'
import socket, struct, sys, time
sys.path.insert(0, sys.argv[2])
import lab

def greet():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.recv(18, socket.MSG_WAITALL)
    s.sendall(struct.pack(">I", 3) + struct.pack(">QII", 0x49484156454F5054, 1, 0))
    s.recv(10, socket.MSG_WAITALL)
    return s

def request(kind, offset, length):
    return struct.pack(">IHHQQI", 0x25609513, 0, kind, 1, offset, length)

stalled = [greet() for _ in range(8)]
for i, s in enumerate(stalled):
    if i % 2:
        s.sendall(request(1, 0, 1 << 20) + bytes(100))  # a write that never comes
    else:
        s.setblocking(False)
        try:
            for _ in range(1000):
                if s.send(request(0, 0, 1 << 20)) < 28:   # answers nobody reads
                    break
        except BlockingIOError:
            pass
halves = [greet() for _ in range(8)]
for s in halves:
    s.sendall(request(0, 0, 4096)[:9])
begun = time.monotonic()
h = lab.connect()
for b in range(100):
    assert h.pread(4096, b * 4096) == lab.content(2, b)
assert time.monotonic() - begun < 30
print("another client is served")
PYTHON
lab check
kill -0 $server || fault "the server died"
kill_server
