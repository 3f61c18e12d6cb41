"""qmp - QEMU's monitor: commands, and the events that come meanwhile. Must never
drop an event that nobody has asked for yet.
"""
import json
import time

from nbdlab import PATIENCE, dial


class Qmp:
    def __init__(self, path, qemu):
        self.sock = dial(path, lambda: qemu.poll() is None)
        self.lines = self.sock.makefile("r")
        self.events = []
        self.sock.settimeout(PATIENCE)
        json.loads(self.lines.readline())
        self.do("qmp_capabilities")

    def do(self, command):
        self.sock.sendall(json.dumps({"execute": command}).encode())
        while True:
            said = json.loads(self.lines.readline())
            if "event" in said:
                self.events.append(said)
            elif "error" in said:
                raise RuntimeError(f"{command}: {said['error']['desc']}")
            else:
                return said["return"]

    def status(self):
        """As "running" or, when a request has failed, "io-error"."""
        return self.do("query-status")["status"]

    def wait_status(self, status, seconds):
        end = time.monotonic() + seconds
        while (found := self.status()) != status and time.monotonic() < end:
            time.sleep(0.05)
        return found == status

    def take(self, name):
        """The events of that name since the last time."""
        found = [e for e in self.events if e["event"] == name]
        self.events = [e for e in self.events if e["event"] != name]
        return found
