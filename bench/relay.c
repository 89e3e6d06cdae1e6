/* relay PORT BACKEND: forwards the bytes of each connection to a connection of its own to 127.0.0.1:BACKEND, and back.
 *
 * It parses nothing, shares no connection and has no timeouts: the least that a proxy in user space can do for kept-alive
 * connections. Its cost is the floor for proxies of HTTP/1.1. Bytes that a socket does not take at once end the connection:
 * it is for small messages.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 65536, EVENTS = 256, MAX_DESCRIPTORS = 65536 };

static int other[MAX_DESCRIPTORS]; /* the other side of a descriptor */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int epoll, int fd) {
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void join(int epoll, int client, struct sockaddr_in backend) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || fd >= MAX_DESCRIPTORS || client >= MAX_DESCRIPTORS) die("socket");
    if (connect(fd, (struct sockaddr *)&backend, sizeof backend) < 0) die("connect");
    other[client] = fd, other[fd] = client;
    watch(epoll, client);
    watch(epoll, fd);
}

static void forward(int fd) {
    static char piece[PIECE];
    int to = other[fd];
    if (to == 0) return; /* closed by an earlier event of the same batch */
    ssize_t length = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length > 0 && send(to, piece, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == length) return;
    other[fd] = other[to] = 0;
    close(fd);
    close(to);
}

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int main(int count, char **words) {
    if (count != 3) return fprintf(stderr, "usage: relay PORT BACKEND\n"), 2;
    struct sockaddr_in address = loopback(words[1]), backend = loopback(words[2]);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0), one = 1;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) < 0 || listen(listening, 4096) < 0) die("listen");
    watch(epoll, listening);
    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd != listening) forward(fd);
            else
                for (int client; (client = accept(listening, NULL, NULL)) >= 0;) join(epoll, client, backend);
        }
    }
}
