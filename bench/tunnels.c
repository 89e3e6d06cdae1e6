/* tunnels serve PORT: the backend at 127.0.0.1:PORT to 127.0.0.4:PORT. It returns the bytes of each connection, until it is
 * killed. A connection whose first byte is '>' gets bytes without end instead.
 *
 * tunnels fresh PORT CONNECTIONS SECONDS FILE: as many connections at a time. Each sends the content of FILE, if there is any,
 * and waits until it came back; then the same with 100 bytes; then it closes, and another one begins.
 *
 * tunnels drink PORT CONNECTIONS SECONDS: as many connections read from the backend, and discard what they read.
 *
 * Both loads print one JSON object: {"requests", "bytes", "failures"}.
 *
 * There are four addresses on each side because of the local ports: Linux uses half of the 28,232 for connections to one
 * address, and those of closed connections only after one second. Near 14,000 connections per second to one address, the
 * search for a local port becomes the greatest part of the cost, and a faster proxy only makes it longer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 262144, EVENTS = 256, MOST = 65536, SMALL = 100, ADDRESSES = 4, CLIENTS = 11 };

static char piece[PIECE];
static char hello[4096];
static ssize_t hello_size;
static int epoll, port;
static char state[MOST];     /* of the backend: 0 new, 1 echo, 2 pours, 3 listens */
static ssize_t heard[MOST];  /* bytes of a client's connection */
static long requests, bytes, failures;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int open_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || fd >= MOST) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return fd;
}

/* 127.0.0.LAST */
static struct sockaddr_in loopback(int last, int at) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)at)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)last);
    return address;
}

static void watch(int operation, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, operation, fd, &event) < 0) die("epoll_ctl");
}

static void serve_one(int fd) {
    if (state[fd] == 2) {
        ssize_t sent = send(fd, piece, PIECE, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) close(fd);
        return;
    }
    ssize_t size = recv(fd, piece, PIECE, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size > 0 && state[fd] == 0 && piece[0] == '>') {
        state[fd] = 2;
        watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
    } else if (size > 0 && send(fd, piece, (size_t)size, MSG_NOSIGNAL) == size) {
        state[fd] = 1;
    } else {
        close(fd);
    }
}

static void serve(void) {
    struct epoll_event events[EVENTS];
    for (int last = 1; last <= ADDRESSES; last++) {
        struct sockaddr_in address = loopback(last, port);
        int fd = open_socket();
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) die("listen");
        state[fd] = 3;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (state[fd] != 3) {
                serve_one(fd);
            } else if ((fd = accept(fd, NULL, NULL)) >= 0) {
                if (fd >= MOST) die("accept");
                state[fd] = 0;
                watch(EPOLL_CTL_ADD, fd, EPOLLIN);
            }
        }
    }
}

static void begin(int drinks) {
    static int next;
    struct sockaddr_in address = loopback(1, port), own = loopback(CLIENTS + next++ % ADDRESSES, 0);
    int fd = open_socket(), one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0) die("bind");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    if (drinks) send(fd, ">", 1, MSG_NOSIGNAL);
    else send(fd, hello_size ? hello : piece, hello_size ? (size_t)hello_size : SMALL, MSG_NOSIGNAL);
    heard[fd] = 0;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void hear(int fd, int drinks) {
    ssize_t size = drinks ? recv(fd, NULL, 4 * PIECE, MSG_TRUNC | MSG_DONTWAIT) : recv(fd, piece, PIECE, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size > 0) bytes += size;
    if (size > 0 && drinks) return;
    if (size > 0) {
        ssize_t before = heard[fd];
        heard[fd] += size;
        if (hello_size && before < hello_size && heard[fd] == hello_size) send(fd, hello, SMALL, MSG_NOSIGNAL);
        if (heard[fd] < hello_size + SMALL) return;
        requests++;
    } else {
        failures++;
    }
    close(fd);
    begin(drinks);
}

static void load(int connections, double seconds, int drinks) {
    struct epoll_event events[EVENTS];
    double end = now() + seconds;
    for (int i = 0; i < connections; i++) begin(drinks);
    while (now() < end) {
        int ready = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) hear(events[i].data.fd, drinks);
    }
    printf("{\"requests\": %ld, \"bytes\": %ld, \"failures\": %ld}\n", requests, bytes, failures);
}

int main(int count, char **words) {
    epoll = epoll_create1(0);
    if (count > 2) port = atoi(words[2]);
    if (count == 3 && strcmp(words[1], "serve") == 0) serve();
    if (count == 5 && strcmp(words[1], "drink") == 0) return load(atoi(words[3]), atof(words[4]), 1), 0;
    if (count != 6 || strcmp(words[1], "fresh") != 0) {
        return fputs("tunnels serve PORT | fresh PORT CONNECTIONS SECONDS FILE | drink PORT CONNECTIONS SECONDS\n", stderr), 2;
    }
    FILE *file = fopen(words[5], "rb");
    if (file == NULL) die(words[5]);
    hello_size = (ssize_t)fread(hello, 1, sizeof hello, file);
    return load(atoi(words[3]), atof(words[4]), 0), 0;
}
