#!/bin/bash
# control-socket.sh
# attack: talks nonsense to the control socket, without end, or not at all
# claim: the control socket `corp.lbs.ctl`
# expect: mode 0600; bounded lines, an answer or a hang-up, and no secrets; the disk is served
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
serve
ctl=corp.lbs.ctl
[ "$(stat -c %a $ctl)" = 600 ] || fault "mode $(stat -c %a $ctl)"
/usr/bin/python3 - $ctl <<'PYTHON'
import os, socket, sqlite3, sys, time
key, = sqlite3.connect("file:corp.lbs?immutable=1", uri=True).execute("SELECT data_key FROM store").fetchone()

def ask(data, patience=30):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(patience)
    s.connect(sys.argv[1])
    got = b""
    try:
        s.sendall(data)
        while True:
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
    except OSError as e:
        if isinstance(e, TimeoutError):
            sys.exit(f"FAULT: no end of {data[:20]!r}")
    return got

silent = [socket.socket(socket.AF_UNIX) for _ in range(5)]
for s in silent[:2]:
    s.connect(sys.argv[1])
for data in (b"\n", b"stat\n", b"nothing of the kind\n", b"\0\0\0\n", b"stat" * 100000,
             b"x" * 1000000 + b"\n", os.urandom(3000) + b"\n", b"stat {}\nstat\n" * 50):
    got = ask(data)
    if key in got or key.hex().encode() in got or len(got) > 100000:
        sys.exit(f"FAULT: {len(got)} bytes in answer to {data[:20]!r}")
PYTHON
lab check
timeout 30 "$bin/lbs" stat corp.lbs >/dev/null || fault "lbs stat gets no answer"
stop
echo "$name: served"
