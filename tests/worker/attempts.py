"""What an attacker who controls a worker might try. `python attempts.py SECRET FOLDER PARENT` confines a child for each
attempt, as a worker confines itself, and prints a line of JSON: what became of it.

    "done"           it succeeded
    "EACCES", ...    it failed with this error
    "SIGSYS", ...    it ended the process with this signal

On a kernel that lacks a part of the confinement, nothing is tried. Even so, each attempt is harmless if it succeeds.

SECRET: a file that only this user may read. FOLDER: one that this user may write to. PARENT: a process of this user.
"""

import ctypes
import errno
import faulthandler
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import sys
import termios
import threading
import traceback
from pathlib import Path

from fastroute.worker import __main__ as worker  # imports what a worker imports
from fastroute.worker import confinement

SECRET, FOLDER, PARENT = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
LISTENING = socket.create_server(("127.0.0.1", 0))
PIPE = os.pipe()
NEAR, FAR = socket.socketpair()
SCRIPT = os.open(__file__, os.O_RDONLY)
SPLICED = 1 | 2  # SPLICE_F_MOVE, SPLICE_F_NONBLOCK
libc = ctypes.CDLL(None, use_errno=True)
NICENESS = os.getpriority(os.PRIO_PROCESS, PARENT)
PTRACE_SEIZE = 0x4206  # does not stop the process
# Numbers that are the same on x86-64 and aarch64.
IO_URING_SETUP, PIDFD_OPEN, PIDFD_GETFD, CLONE3, OPENAT2 = 425, 434, 438, 435, 437


def call(function, *arguments):
    """Calls a function of libc, or a system call by number; raises its error."""
    arguments = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    done = libc.syscall(function, *arguments) if isinstance(function, int) else getattr(libc, function)(*arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), "")


def write_python():
    os.close(os.open(os.__file__, os.O_WRONLY))


def set_owner():
    fcntl.fcntl(LISTENING, fcntl.F_SETOWN, PARENT)


def raw(family, kind, protocol=0):
    return lambda: socket.socket(family, kind, protocol)


def protect():
    page = mmap.mmap(-1, mmap.PAGESIZE)
    call("mprotect", ctypes.addressof(ctypes.c_char.from_buffer(page)), mmap.PAGESIZE, mmap.PROT_EXEC)


def crash():
    faulthandler.enable(sys.stderr)
    os.kill(os.getpid(), signal.SIGSEGV)


def talk():
    """Connects and sends, as the engine does."""
    with socket.socket() as client:
        client.connect(LISTENING.getsockname())
        served, _ = LISTENING.accept()
        served.sendall(b"x")
        assert client.recv(1) == b"x"


def splice():
    """Splices from a socket to another one, through a pipe that was opened before."""
    NEAR.send(b"x" * 100)
    assert os.splice(FAR.fileno(), PIPE[1], 1000, flags=SPLICED) == 100
    assert os.splice(PIPE[0], NEAR.fileno(), 1000, flags=SPLICED) == 100


def import_module():
    import this_module_is_missing  # noqa: F401


def print_traceback():
    """A traceback shows lines of the sources."""
    try:
        json.loads("{")
    except ValueError:
        if "self.scan_once(" not in traceback.format_exc():
            raise OSError(errno.ENOENT, "no lines") from None


ATTEMPTS = {
    # files
    "read the token": SECRET.read_text,
    "read the password file": Path("/etc/passwd").read_text,
    "list the root": lambda: os.listdir("/"),
    "read the memory of main": lambda: os.open(f"/proc/{PARENT}/mem", os.O_RDONLY),
    "read the environment of main": Path(f"/proc/{PARENT}/environ").read_text,
    "read its own memory": lambda: os.open("/proc/self/mem", os.O_RDONLY),
    "read a device": lambda: os.open("/dev/zero", os.O_RDONLY),
    "write a file": lambda: (FOLDER / "new").write_text("x"),
    "append to a file": lambda: os.open(SECRET, os.O_WRONLY | os.O_APPEND),
    "write to the Python installation": write_python,
    "remove a file": (FOLDER / "missing").unlink,
    "rename a file": lambda: SECRET.rename(SECRET),
    "make a folder": lambda: FOLDER.mkdir(),
    "link to a file": lambda: SECRET.symlink_to(SECRET),
    "change a mode": lambda: SECRET.chmod(0o600),
    "truncate a file": lambda: os.truncate(SECRET, SECRET.stat().st_size),
    "open by openat2": lambda: call(OPENAT2, -100, str(SECRET).encode(), ctypes.create_string_buffer(24), 24),
    "mount": lambda: call("mount", b"none", str(FOLDER / "missing").encode(), b"tmpfs", 0, None),
    "change the root": lambda: os.chroot("/"),
    # programs, processes, threads
    "execute a program": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "start a thread": threading.Thread(target=print).start,
    "clone with clone3": lambda: call(CLONE3, None, 0),
    "make a namespace": lambda: call("unshare", 0x10000000),
    "map code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "turn memory into code": protect,
    "become another user": lambda: os.setuid(1),
    # other processes
    "trace main": lambda: call("ptrace", PTRACE_SEIZE, PARENT, None, None),
    "read memory of main": lambda: call("process_vm_readv", PARENT, None, 0, None, 0, 0),
    "signal main": lambda: os.kill(PARENT, 0),
    "signal its group": lambda: os.kill(0, 0),
    "let a descriptor signal main": set_owner,
    "take a descriptor of main": lambda: call(PIDFD_GETFD, 3, 0, 0),
    "open a descriptor of main": lambda: call(PIDFD_OPEN, PARENT, 0),
    "limit main": lambda: resource.prlimit(PARENT, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)),
    "move main to another core": lambda: os.sched_setaffinity(PARENT, os.sched_getaffinity(0)),
    "slow down main": lambda: os.setpriority(os.PRIO_PROCESS, PARENT, NICENESS),
    # sockets
    "listen": lambda: socket.create_server(("127.0.0.1", 0)),
    "open a Unix socket": raw(socket.AF_UNIX, socket.SOCK_STREAM),
    "open a netlink socket": raw(socket.AF_NETLINK, socket.SOCK_RAW),
    "open a packet socket": raw(socket.AF_PACKET, socket.SOCK_RAW),
    "open a raw socket": raw(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "open a socket of another protocol": raw(socket.AF_INET6, socket.SOCK_SEQPACKET),
    "type into a terminal": lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x"),
    # the kernel
    "make an io_uring": lambda: call(IO_URING_SETUP, 1, None),
    "make a file of memory": lambda: os.memfd_create("x"),
    "become dumpable": lambda: call("prctl", 4, 1, 0, 0, 0),
    "splice from a position of a file": lambda: os.splice(SCRIPT, PIPE[1], 1, offset_src=0, flags=SPLICED),
    # what a worker needs
    "connect and talk": talk,
    "open a UDP socket": raw(socket.AF_INET, socket.SOCK_DGRAM),
    "splice": splice,
    "read a module": Path(os.__file__).read_text,
    "import a missing module": import_module,
    "print a traceback": print_traceback,
    "abort": os.abort,
    "crash with a fault": crash,
}


def outcome(attempt, *, without_landlock=False):
    """The result of an attempt in a confined child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        if without_landlock:
            confinement.kernel = WithoutLandlock()
        confinement.confine()
        os.write(writer, result(attempt).encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with open(reader) as told:
        return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else told.read()


def result(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    except ImportError:
        return "ImportError"
    return "done"


class WithoutLandlock:
    """The functions of ext/engine/confinement on a kernel without Landlock."""

    def __getattr__(self, name):
        return getattr(confinement_of_the_kernel, name)

    def restrict_files(self, readable):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


confinement_of_the_kernel = confinement.kernel


def missing():
    """What cannot be applied on this kernel."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, json.dumps(confinement.confine().missing).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as told:
        return json.load(told)


def main():
    assert worker.main
    told = {"missing": missing()}
    if told["missing"]:
        print(json.dumps(told))
        return
    told |= {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    for name in ("read the token", "read a module", "write a file", "fork", "connect and talk", "print a traceback"):
        told[f"{name}, without Landlock"] = outcome(ATTEMPTS[name], without_landlock=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
