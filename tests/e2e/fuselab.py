"""fuselab - a store served as a file, for the tests of the FUSE front end. Says so
and gives status 77 where nothing can be mounted. Must leave no mount behind.
"""
import os
import signal
import subprocess
import sys

import nbdlab
from nbdlab import PATIENCE, Lab, wait_until


def need_fuse():
    """Ends the test as one that cannot run where there is no FUSE."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or os.getuid() != 0:
        print("needs root and /dev/fuse")
        sys.exit(77)


class FuseLab(Lab):
    """A Lab whose server is lbs-fuse; self.file is the disk."""

    def __init__(self, size="64M", *create):
        super().__init__(size, *create)
        self.mnt = os.path.join(self.work, "mnt")
        self.file = os.path.join(self.mnt, "disk")
        os.mkdir(self.mnt)

    def start(self, *options, wait=PATIENCE, env=None):
        """lbs-fuse in the foreground; returns when the file is there."""
        self.launcher = subprocess.Popen(
            [os.path.join(nbdlab.ROOT, "lbs-fuse"), "-f", *options, self.store,
             self.mnt], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, env=dict(os.environ, **(env or {})))

        def serves():
            if self.launcher.poll() is not None:
                raise RuntimeError(f"lbs-fuse ended with status "
                                   f"{self.launcher.returncode}:\n"
                                   f"{self.said()[-2000:]}")
            return self.mounted()
        if not wait_until(serves, wait):
            raise RuntimeError("lbs-fuse does not mount")

    def mounted(self):
        with open("/proc/self/mounts") as f:
            return any(line.split()[1] == self.mnt for line in f)

    def umount(self, *command, wait=PATIENCE):
        """Unmounts (with fusermount3 -u unless told otherwise); lbs-fuse's exit
        status. Whoever used the file may let go of it a little later than it says, as
        a loop device does."""
        tried = []

        def done():
            tried.append(subprocess.run([*(command or ("fusermount3", "-u")), self.mnt],
                                        stderr=subprocess.PIPE, text=True))
            return tried[-1].returncode == 0 or "busy" not in tried[-1].stderr
        wait_until(done, wait)
        if tried[-1].returncode:
            raise RuntimeError(f"{self.mnt}: {tried[-1].stderr}")
        status = self.launcher.wait(wait)
        self.launcher = None
        return status

    def kill(self):
        if self.launcher:
            self.launcher.send_signal(signal.SIGKILL)
            self.launcher.wait()
            self.launcher = None

    def __exit__(self, kind, value, trace):
        self.kill()
        while self.mounted():
            if subprocess.run(["umount", "-l", self.mnt]).returncode:
                break
        super().__exit__(kind, value, trace)
