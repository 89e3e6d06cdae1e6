"""The system calls of a worker that serves: what the engine, trio and Python need, and what their arguments may be.

Every other call ends the worker, and the kernel logs it. So programs, processes and threads cannot be started, and
other processes cannot be traced or signalled. A call of RULES with other arguments fails, because libraries try such
calls and continue without them.

Intentionally missing: bind and listen (the main process binds), memory files, pipes, io_uring, BPF, keys, namespaces.
"""

import errno
import fcntl
import mmap
import os
import socket
import termios
from typing import NamedTuple

# Allowed with all arguments.
CALLS = (
    # traffic: the engine's
    *("recvfrom", "sendto", "sendmsg", "recvmsg", "recvmmsg", "sendmmsg", "read", "readv", "write", "writev"),
    *("epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "epoll_create1", "poll", "ppoll"),
    *("accept", "accept4", "connect", "shutdown", "close", "getsockopt", "setsockopt", "getsockname", "getpeername"),
    *("timerfd_create", "timerfd_settime", "timerfd_gettime", "eventfd2", "signalfd4", "getrandom"),
    # time
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getrusage"),
    # memory, without code; see RULES
    *("brk", "munmap", "mremap", "madvise"),
    # locks and signals of this process
    *("futex", "sched_yield", "membarrier", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending"),
    *("sigaltstack", "restart_syscall", "exit", "exit_group"),
    # descriptors that are open
    *("fstat", "lseek", "pread64", "pwrite64", "dup", "dup2", "dup3", "fstatfs", "getdents64"),
    # file metadata. Landlock decides which files can be opened; see OPENING
    *("newfstatat", "stat", "lstat", "statx", "statfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat"),
    "getcwd",
    # facts about this process and the kernel
    *("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo"),
    *("sched_getaffinity", "getcpu", "getrlimit"),
)


class Condition(NamedTuple):
    """What an argument of a call must be."""

    argument: int  # its index
    values: frozenset[int] = frozenset()  # one of these
    bits: int = 0  # if not 0: instead, a value without any of these bits


class Rule(NamedTuple):
    """A call that is allowed only if all conditions hold; otherwise it fails with `error`."""

    call: str
    conditions: tuple[Condition, ...]
    error: int = errno.EPERM


def one_of(argument: int, *values: int) -> Condition:
    return Condition(argument, frozenset(values))


def without(argument: int, bits: int) -> Condition:
    return Condition(argument, bits=bits)


NEVER = (one_of(0),)
_SIOCOUTQNSD = 0x894B  # bytes that were not sent, as SIOCOUTQ (TIOCOUTQ): bytes that were not acknowledged
_QUESTIONS = (termios.FIONREAD, termios.TIOCOUTQ, _SIOCOUTQNSD, termios.FIONBIO, termios.TCGETS, termios.FIOCLEX)
# Without F_SETOWN and F_SETSIG, with which a descriptor sends any signal to another process of this user.
_FLAGS = (fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)
_SPLICE_MOVE_NONBLOCK = 1 | 2
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_TYPES = [
    transport | one | other
    for transport in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    for one in (0, socket.SOCK_NONBLOCK)
    for other in (0, socket.SOCK_CLOEXEC)
]

RULES = (
    Rule("ioctl", (one_of(1, *_QUESTIONS),), errno.ENOTTY),
    Rule("fcntl", (one_of(1, *_FLAGS),)),
    # Between sockets and the pipe that was opened before: not at a position of a file.
    Rule("splice", (one_of(1, 0), one_of(3, 0), one_of(5, _SPLICE_MOVE_NONBLOCK))),
    Rule("socket", (one_of(0, *_FAMILIES), one_of(1, *_TYPES)), errno.EACCES),
    Rule("mmap", (without(2, mmap.PROT_EXEC),), errno.EACCES),
    Rule("mprotect", (without(2, mmap.PROT_EXEC),), errno.EACCES),
    Rule("prlimit64", (one_of(0, 0),)),
    Rule("prctl", NEVER),
)

# With Landlock: only for reading. Python reads modules that it imports later, and sources for tracebacks.
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
OPENING = (
    Rule("open", (without(1, _WRITING),), errno.EACCES),
    Rule("openat", (without(2, _WRITING),), errno.EACCES),
)

# Without Landlock: not at all.
CLOSED = (Rule("open", NEVER, errno.EACCES), Rule("openat", NEVER, errno.EACCES))


def rules(pid: int, *, files_are_restricted: bool) -> list[Rule]:
    """The rules of the process `pid`, which may signal only itself: abort(3) and faults do."""
    itself = (one_of(0, pid),)
    opening = OPENING if files_are_restricted else CLOSED
    return [*RULES, Rule("kill", itself), Rule("tgkill", itself), *opening]
