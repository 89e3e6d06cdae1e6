"""The system calls of a worker that serves: what the engine, trio and Python need, and what their arguments may be.

Every other call ends the worker, and the kernel logs it. So programs, processes and threads cannot be started, and
other processes cannot be traced or signalled. A call of RULES with other arguments fails, because libraries try such
calls and continue without them.

Left out with intent: bind and listen (the main process binds), memory files, pipes, io_uring, BPF, keys, namespaces.
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
    # names of files: whether they exist. Landlock decides what is opened; see OPENING
    *("newfstatat", "stat", "lstat", "statx", "statfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat"),
    "getcwd",
    # facts about this process and the kernel
    *("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo"),
    *("sched_getaffinity", "getrlimit"),
)


class Rule(NamedTuple):
    """A call that is allowed only with certain values of an argument; with others it fails with `error`."""

    call: str
    argument: int  # its index
    values: frozenset[int] = frozenset()  # the allowed values
    bits: int = 0  # if not 0: instead, every value without one of these bits is allowed
    error: int = errno.EPERM


_SIOCOUTQNSD = 0x894B  # bytes that were not sent, as SIOCOUTQ (TIOCOUTQ): bytes that were not acknowledged
_QUESTIONS = {termios.FIONREAD, termios.TIOCOUTQ, _SIOCOUTQNSD, termios.FIONBIO, termios.TCGETS, termios.FIOCLEX}
# Without F_SETOWN and F_SETSIG, with which a descriptor sends any signal to another process of this user.
_FLAGS = {fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC}

RULES = (
    Rule("ioctl", 1, frozenset(_QUESTIONS), error=errno.ENOTTY),
    Rule("fcntl", 1, frozenset(_FLAGS)),
    Rule("socket", 0, frozenset({socket.AF_INET, socket.AF_INET6}), error=errno.EACCES),
    Rule("mmap", 2, bits=mmap.PROT_EXEC, error=errno.EACCES),
    Rule("mprotect", 2, bits=mmap.PROT_EXEC, error=errno.EACCES),
    Rule("prlimit64", 0, frozenset({0})),
)

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# With Landlock: only for reading. Python reads modules that it imports later, and sources for tracebacks.
OPENING = (
    Rule("open", 1, bits=_WRITING, error=errno.EACCES),
    Rule("openat", 2, bits=_WRITING, error=errno.EACCES),
)

# Without Landlock: not at all.
CLOSED = (Rule("open", 0, error=errno.EACCES), Rule("openat", 0, error=errno.EACCES))


def rules(pid: int, *, files_are_restricted: bool) -> list[Rule]:
    """The rules of the process `pid`, which may signal only itself: abort(3) and faults do."""
    itself = frozenset({pid})
    signals = (Rule("kill", 0, itself), Rule("tgkill", 0, itself), Rule("prctl", 0))
    return [*RULES, *signals, *(OPENING if files_are_restricted else CLOSED)]
