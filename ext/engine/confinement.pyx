"""What the kernel forbids this process: privileges, files, system calls. Nothing here can be undone.

worker/confinement.py decides what is applied, and in which order. Every function raises OSError if the kernel does not
have the mechanism or refuses it; the process is then unchanged.
"""

import os

from libc.errno cimport EINVAL, ENOSYS, EOPNOTSUPP, errno
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

cdef extern from *:
    """
    #include <linux/audit.h>
    #include <linux/filter.h>
    #include <linux/seccomp.h>
    #include <stddef.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    /* Numbers that are newer than the headers of some supported distributions. The first three are the same on all
       architectures. */
    #define CREATE_RULESET 444
    #define ADD_RULE 445
    #define RESTRICT_SELF 446
    #ifndef __NR_faccessat2
    #define __NR_faccessat2 439
    #endif
    #ifndef __NR_epoll_pwait2
    #define __NR_epoll_pwait2 441
    #endif
    #ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
    #define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
    #endif

    #if defined(__x86_64__)
    #define FASTROUTE_ARCH AUDIT_ARCH_X86_64
    #define FASTROUTE_FOREIGN 0x40000000   /* from here on: numbers of the x32 ABI */
    #elif defined(__aarch64__) && !defined(__AARCH64EB__)
    #define FASTROUTE_ARCH AUDIT_ARCH_AARCH64
    #define FASTROUTE_FOREIGN 0
    #else
    #define FASTROUTE_ARCH 0               /* system calls are not filtered */
    #define FASTROUTE_FOREIGN 0
    #endif

    /* Under a sanitizer the runtime makes system calls of its own. */
    #if defined(__SANITIZE_ADDRESS__)
    #define FASTROUTE_SANITIZED 1
    #else
    #define FASTROUTE_SANITIZED 0
    #endif

    #define CALL(name) {#name, __NR_##name},
    static const struct fastroute_call { const char *name; int number; } fastroute_calls[] = {
    #if defined(__x86_64__) || defined(__aarch64__)
        CALL(accept) CALL(accept4) CALL(brk) CALL(clock_getres) CALL(clock_gettime) CALL(clock_nanosleep) CALL(close)
        CALL(connect) CALL(dup) CALL(dup3) CALL(epoll_create1) CALL(epoll_ctl) CALL(epoll_pwait) CALL(epoll_pwait2)
        CALL(eventfd2) CALL(exit) CALL(exit_group) CALL(faccessat) CALL(faccessat2) CALL(fcntl)
        CALL(fstat) CALL(fstatfs) CALL(futex) CALL(getcpu) CALL(getcwd) CALL(getdents64) CALL(getegid) CALL(geteuid)
        CALL(getgid) CALL(getpeername) CALL(getpid) CALL(getppid) CALL(getrandom) CALL(getrlimit) CALL(getrusage)
        CALL(getsockname) CALL(getsockopt) CALL(gettid) CALL(gettimeofday) CALL(getuid) CALL(ioctl) CALL(kill)
        CALL(lseek)
        CALL(madvise) CALL(membarrier) CALL(mmap) CALL(mprotect) CALL(mremap) CALL(munmap) CALL(nanosleep)
        CALL(newfstatat) CALL(openat) CALL(ppoll) CALL(prctl) CALL(pread64) CALL(prlimit64) CALL(pwrite64) CALL(read)
        CALL(readlinkat) CALL(readv) CALL(recvfrom) CALL(recvmmsg) CALL(recvmsg) CALL(restart_syscall)
        CALL(rt_sigaction) CALL(rt_sigpending) CALL(rt_sigprocmask) CALL(rt_sigreturn) CALL(sched_getaffinity)
        CALL(sched_yield) CALL(sendmmsg) CALL(sendmsg) CALL(sendto) CALL(setsockopt) CALL(shutdown) CALL(sigaltstack)
        CALL(signalfd4) CALL(socket) CALL(splice) CALL(statfs) CALL(statx) CALL(sysinfo) CALL(tgkill) CALL(timerfd_create)
        CALL(timerfd_gettime) CALL(timerfd_settime) CALL(times) CALL(uname) CALL(write) CALL(writev)
    #endif
    #if defined(__x86_64__)
        CALL(access) CALL(dup2) CALL(epoll_wait) CALL(lstat) CALL(open) CALL(poll) CALL(readlink)
        CALL(stat) CALL(time)
    #endif
        {0, 0}
    };
    """
    struct fastroute_call:
        const char *name
        int number
    const fastroute_call *fastroute_calls
    uint32_t FASTROUTE_ARCH
    uint32_t FASTROUTE_FOREIGN
    bint FASTROUTE_SANITIZED

    struct sock_filter:
        uint16_t code
        uint8_t jt
        uint8_t jf
        uint32_t k
    struct sock_fprog:
        unsigned short len
        sock_filter *filter
    enum:
        BPF_LD, BPF_W, BPF_ABS, BPF_JMP, BPF_JEQ, BPF_JGE, BPF_JSET, BPF_K, BPF_RET
        SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_TSYNC
        PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL
        __NR_seccomp, __NR_capset
        CREATE_RULESET, ADD_RULE, RESTRICT_SELF
    uint32_t SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS
    int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) nogil
    long syscall(long number, ...) nogil

SANITIZED = bool(FASTROUTE_SANITIZED)  # whether the modules are built with a sanitizer


cdef object failed():
    number = errno
    return OSError(number, os.strerror(number))


# --- privileges


def forbid_new_privileges() -> None:
    """No program that this process executes gets more privileges (PR_SET_NO_NEW_PRIVS)."""
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        raise failed()


def forbid_dumps() -> None:
    """No core file, and no other process of this user may trace this one or read its memory (PR_SET_DUMPABLE)."""
    if prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0:
        raise failed()


def drop_capabilities() -> None:
    """Gives up every capability, also as root (capabilities(7))."""
    cdef uint32_t[2] header
    cdef uint32_t[6] sets      # effective, permitted, inheritable; twice
    header[0] = 0x20080522     # _LINUX_CAPABILITY_VERSION_3
    header[1] = 0              # this process
    memset(sets, 0, sizeof(sets))
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if syscall(__NR_capset, header, sets) < 0:
        raise failed()


# --- Landlock (landlock(7))

cdef struct Ruleset:            # struct landlock_ruleset_attr
    uint64_t files
    uint64_t network
    uint64_t scopes

cdef packed struct Beneath:     # struct landlock_path_beneath_attr
    uint64_t rights
    int32_t folder

cdef enum:
    VERSION = 1                 # LANDLOCK_CREATE_RULESET_VERSION
    PATH_BENEATH = 1            # LANDLOCK_RULE_PATH_BENEATH
    READ_FILE = 1 << 2
    READ_FOLDER = 1 << 3
    BIND_TCP = 1 << 0
    UNIX_SOCKETS = 1 << 0       # abstract ones, of processes outside
    SIGNALS = 1 << 1            # to processes outside


def landlock_version() -> int:
    """The version of the kernel's Landlock (its ABI). Raises OSError if there is none."""
    cdef long version = syscall(CREATE_RULESET, <void *> NULL, <size_t> 0, <uint32_t> VERSION)
    if version < 0:
        raise failed()
    return version


cdef uint64_t rights_of(long version) noexcept nogil:
    """All rights on files that a version has: reading, writing, executing, ..."""
    cdef uint64_t rights = (1 << 13) - 1
    if version >= 2:
        rights |= 1 << 13       # moving a file to another folder
    if version >= 3:
        rights |= 1 << 14       # truncating
    if version >= 5:
        rights |= 1 << 15       # ioctl on devices
    return rights


def restrict_files(readable: list[str]) -> None:
    """From now on this process can open only files below the folders `readable`, and only for reading.

    Also, where the version has it: it can bind no TCP port (4), and cannot reach abstract Unix sockets and signal
    processes outside (6).
    """
    cdef long version = landlock_version()
    cdef Ruleset ruleset
    cdef size_t size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset.files = rights_of(version)
    ruleset.network = BIND_TCP
    ruleset.scopes = UNIX_SOCKETS | SIGNALS
    cdef long fd = syscall(CREATE_RULESET, &ruleset, size, <uint32_t> 0)
    if fd < 0:
        raise failed()
    try:
        for path in readable:
            allow_below(<int> fd, path)
        if syscall(RESTRICT_SELF, <int> fd, <uint32_t> 0) < 0:
            raise failed()
    finally:
        os.close(fd)


cdef object allow_below(int ruleset, str path):
    cdef Beneath beneath
    cdef int folder = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        beneath.rights = READ_FILE | READ_FOLDER
        beneath.folder = folder
        if syscall(ADD_RULE, ruleset, <int> PATH_BENEATH, &beneath, <uint32_t> 0) < 0:
            raise failed()
    finally:
        os.close(folder)


# --- seccomp (seccomp(2))

cdef enum:
    ROOM = 1024                 # instructions of a filter
    NUMBER_AT = 0               # struct seccomp_data
    ARCH_AT = 4
    ARGUMENTS_AT = 16

cdef struct Filter:
    sock_filter[ROOM] code
    int size
    bint full                   # instructions were left out


cdef void put(Filter *filter, uint16_t code, uint32_t k, uint8_t yes, uint8_t no) noexcept nogil:
    """Adds an instruction; a jump skips `yes` instructions if its condition holds, else `no`."""
    if filter.size == ROOM:
        filter.full = True
        return
    filter.code[filter.size] = sock_filter(code=code, jt=yes, jf=no, k=k)
    filter.size += 1


cdef void load(Filter *filter, uint32_t offset) noexcept nogil:
    put(filter, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)


cdef void leave(Filter *filter, uint32_t verdict) noexcept nogil:
    put(filter, BPF_RET | BPF_K, verdict, 0, 0)


cdef void allow_if_equal(Filter *filter, uint32_t value) noexcept nogil:
    put(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)
    leave(filter, SECCOMP_RET_ALLOW)


def call_number(name: str) -> int | None:
    """The number of a system call on this architecture. None: it has no such call. Raises KeyError."""
    wanted = name.encode()
    cdef int i = 0
    while fastroute_calls[i].name != NULL:
        if fastroute_calls[i].name == wanted:
            return fastroute_calls[i].number
        i += 1
    if name in OF_X86:
        return None
    raise KeyError(name)


# System calls that aarch64 does not have.
OF_X86 = frozenset(("access", "dup2", "epoll_wait", "lstat", "open", "poll", "readlink", "stat", "time"))


cdef object put_rule(Filter *filter, rule):
    """A call that is allowed only if its arguments meet all conditions. The kernel reads the low 32 bits of each of
    these arguments."""
    number = call_number(rule.call)
    if number is None:
        return
    cdef int size = sum([3 if one.bits else 2 + len(one.values) for one in rule.conditions]) + 1
    put(filter, BPF_JMP | BPF_JEQ | BPF_K, number, 0, size)
    for condition in rule.conditions:
        load(filter, ARGUMENTS_AT + 8 * <uint32_t> condition.argument)
        if condition.bits:
            put(filter, BPF_JMP | BPF_JSET | BPF_K, condition.bits, 0, 1)
        for i, value in enumerate(sorted(condition.values)):
            put(filter, BPF_JMP | BPF_JEQ | BPF_K, value, len(condition.values) - i, 0)
        leave(filter, SECCOMP_RET_ERRNO | <uint32_t> rule.error)
    leave(filter, SECCOMP_RET_ALLOW)


def filter_calls(allowed: list[str], rules: list) -> None:
    """From now on any system call but `allowed` ends this process, and the kernel logs it.

    `rules` (systemcalls.Rule) are calls that are allowed only with certain arguments. For calls that are allowed with
    any arguments, the kernel evaluates the filter once, and then looks up one bit per call (since Linux 5.11).
    """
    if not FASTROUTE_ARCH:
        raise OSError(EOPNOTSUPP, "system calls are filtered on x86-64 and aarch64 only")
    cdef Filter filter
    memset(&filter, 0, sizeof(filter))
    load(&filter, ARCH_AT)
    put(&filter, BPF_JMP | BPF_JEQ | BPF_K, FASTROUTE_ARCH, 1, 0)
    leave(&filter, SECCOMP_RET_KILL_PROCESS)
    load(&filter, NUMBER_AT)
    if FASTROUTE_FOREIGN:
        put(&filter, BPF_JMP | BPF_JGE | BPF_K, FASTROUTE_FOREIGN, 0, 1)
        leave(&filter, SECCOMP_RET_KILL_PROCESS)
    for name in allowed:
        number = call_number(name)
        if number is not None:
            allow_if_equal(&filter, number)
    for rule in rules:
        put_rule(&filter, rule)
    leave(&filter, SECCOMP_RET_KILL_PROCESS)
    if filter.full:
        raise OSError(EINVAL, "the filter of system calls is too long")
    install(&filter)


cdef object install(Filter *filter):
    """Without SPEC_ALLOW, kernels before 5.16 switch off speculation in a filtered process, which costs each request.
    Not every kernel has the flags, and the oldest one is the last to be left out."""
    cdef sock_fprog program
    cdef unsigned long flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW
    program.len = <unsigned short> filter.size
    program.filter = filter.code
    for flag in (SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_TSYNC, 0):
        done = syscall(__NR_seccomp, <int> SECCOMP_SET_MODE_FILTER, flags, &program)
        if done == 0:
            return
        if done > 0:
            raise OSError(ENOSYS, "a thread has another filter")
        if errno != EINVAL:
            break
        flags &= ~<unsigned long> flag
    raise failed()
