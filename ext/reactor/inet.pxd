# TCP and UDP sockets: declarations from system headers.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from posix.time cimport timespec


cdef enum:
    # SO_SNDBUF of every connection: the usual net.core.wmem_max. The kernel doubles it and may exceed the result by one
    # packet of 64 KiB, so it holds less than 512 KiB for a peer that does not read. By default the kernel raises this limit
    # up to 4 MiB (tcp_wmem). TCP_NOTSENT_LOWAT is no substitute: it does not limit what was sent and not acknowledged.
    # Answers of 1 MiB over loopback are as fast as before; a connection transfers at most 416 KiB per round trip, which
    # is 68 Mbit/s at 50 ms. There is no SO_RCVBUF: with 416 KiB from the first 64 KiB on, answers of 1 MiB cost 55 % more
    # CPU time, and uploads 28 % more.
    SEND_BUFFER = 212992

cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        uint32_t s_addr
    cdef struct in6_addr:
        uint8_t s6_addr[16]
    cdef struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    cdef struct in_pktinfo:         # to which of this machine's addresses an IPv4 datagram was sent
        int ipi_ifindex
        in_addr ipi_spec_dst        # the one from which an answer comes
    cdef struct in6_pktinfo:        # the same for IPv6
        in6_addr ipi6_addr
        uint32_t ipi6_ifindex
    int IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP
    int IP_PKTINFO, IP_RECVERR, IPV6_PKTINFO, IPV6_RECVPKTINFO, IPV6_RECVERR
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)

cdef extern from *:
    """
    #include <netinet/udp.h>
    #ifndef UDP_SEGMENT
    #define UDP_SEGMENT 103
    #endif
    #ifndef SOL_UDP
    #define SOL_UDP 17
    #endif
    """
    int SOL_UDP, UDP_SEGMENT

cdef extern from *:
    """
    #ifndef IP_LOCAL_PORT_RANGE
    #define IP_LOCAL_PORT_RANGE 51
    #endif
    """
    int IP_LOCAL_PORT_RANGE     # Linux 6.3

cdef extern from "<linux/tcp.h>" nogil:     # <netinet/tcp.h> does not have all fields
    int TCP_NODELAY, TCP_INFO
    cdef struct tcp_info:
        uint8_t tcpi_probes         # of a closed window, since the last answer
        uint8_t tcpi_snd_wscale     # that the peer announced
        uint64_t tcpi_bytes_acked

cdef extern from "<sys/socket.h>" nogil:
    cdef struct sockaddr:
        pass
    cdef struct sockaddr_storage:
        uint16_t ss_family
    cdef struct linger:
        int l_onoff
        int l_linger
    cdef struct msghdr:
        void *msg_name
        uint32_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
    cdef struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    cdef struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    int SOCK_STREAM, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC, SHUT_WR
    int SOL_SOCKET, SO_ACCEPTCONN, SO_DOMAIN, SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_OOBINLINE, SO_RCVBUF, SO_SNDBUF, SO_TYPE
    int MSG_DONTWAIT, MSG_ERRQUEUE, MSG_MORE, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC
    int socket(int family, int type, int protocol)
    int connect(int fd, const sockaddr *address, uint32_t size)
    int accept4(int fd, sockaddr *address, uint32_t *size, int flags)
    int shutdown(int fd, int how)
    int getsockname(int fd, sockaddr *address, uint32_t *size)
    int setsockopt(int fd, int level, int name, const void *value, uint32_t size)
    int getsockopt(int fd, int level, int name, void *value, uint32_t *size)
    ssize_t recv(int fd, void *buffer, size_t size, int flags)
    ssize_t send(int fd, const void *buffer, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    ssize_t recvmsg(int fd, msghdr *message, int flags)
    int recvmmsg(int fd, mmsghdr *messages, unsigned int count, int flags, timespec *timeout)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int count, int flags)
    cmsghdr *CMSG_FIRSTHDR(msghdr *message)
    cmsghdr *CMSG_NXTHDR(msghdr *message, cmsghdr *part)
    unsigned char *CMSG_DATA(cmsghdr *part)
    size_t CMSG_LEN(size_t size)
    size_t CMSG_SPACE(size_t size)

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long request, ...)

cdef extern from "<linux/sockios.h>" nogil:
    int SIOCOUTQ                # bytes that the peer has not acknowledged yet (tcp(7))
