"""emulator - one life of a guest under QEMU. Its script speaks line by line over its
second serial port. Must end no process that it did not start, and every one that it did.
"""
import ctypes
import os
import queue
import signal
import subprocess
import threading

PR_SET_PDEATHSIG = 1
SILENCE = 400		# seconds; a loaded machine is slow


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Emulator:
    """From power on to power off. vm has the kernel, the initramfs, whose init runs the
    script, and a directory for the console; devices are QEMU's arguments."""

    def __init__(self, vm, script, devices, append=""):
        self.vm = vm
        job = os.path.join(vm.work, "job.sh")
        with open(job, "w") as f:
            f.write(script)
        self.lines = queue.Queue()
        self.console = open(os.path.join(vm.work, "console.log"), "ab")
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi,tb-size=256",
             "-cpu", "max", "-smp", str(vm.processors), "-m", "1024", "-no-reboot", "-nodefaults",
             "-no-user-config", "-display", "none", "-monitor", "none",
             "-kernel", vm.kernel, "-initrd", vm.initramfs, "-append",
             f"console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check mitigations=off {append}",
             "-fw_cfg", f"name=opt/job,file={job}",
             "-chardev", f"file,id=console,append=on,path={self.console.name}",
             "-serial", "chardev:console", "-serial", "stdio", *devices],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.console,
            preexec_fn=die_with_parent)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """Only whole lines count: what the machine's end tears is no promise."""
        for line in self.process.stdout:
            text = line.decode(errors="replace").strip()
            if line.endswith(b"\n") and text:
                self.lines.put(text)
        self.lines.put(None)

    def poll_line(self, seconds):
        """The next line; "" when there is none so long, None when the machine is gone."""
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            return ""
        if self.vm.verbose and line is not None:
            print(f"     | {line}", flush=True)
        return line

    def next_line(self, seconds):
        """The next line, or None when the machine is gone. Too long a silence ends it."""
        line = self.poll_line(seconds)
        if line == "":
            self.kill()
            raise RuntimeError(f"the guest said nothing for {seconds} s; the console's end:\n"
                               + self.console_end())
        return line

    def console_end(self):
        with open(self.console.name, errors="replace") as f:
            return f.read()[-2000:]

    def say(self, text):
        try:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def end(self):
        """The exit status of a machine that is gone or about to go."""
        return self.process.wait(SILENCE)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.console.close()
