/* A session of HTTP/2 over a socket: what echo.c, calls.c and pace2.c share. */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 65536, EVENTS = 256, WINDOW = 1 << 24 };
#define FIELD(name, value) \
    {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE}

struct session {
    nghttp2_session *frames;
    int fd;
    size_t length, sent;        /* of `piece` */
    unsigned char piece[PIECE]; /* bytes that the socket has not taken */
};

static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

/* Sends what the session has to send. Returns -1 if the connection is broken. */
static inline int session_flush(struct session *s) {
    for (;;) {
        const uint8_t *more;
        ssize_t count = 0;
        if (s->sent == s->length) s->sent = s->length = 0;
        while (s->length + 16384 + 9 <= PIECE && (count = nghttp2_session_mem_send(s->frames, &more)) > 0) {
            memcpy(s->piece + s->length, more, (size_t)count);
            s->length += (size_t)count;
        }
        if (count < 0) return -1;
        if (s->sent == s->length) return 0;
        count = send(s->fd, s->piece + s->sent, s->length - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
        s->sent += (size_t)count;
    }
}

/* Takes all that has arrived, and sends the answers. Returns -1 if the connection is broken or closed. */
static inline int session_turn(struct session *s) {
    static unsigned char piece[PIECE];
    ssize_t count;
    do {
        count = recv(s->fd, piece, sizeof piece, MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return -1;
        if (count > 0 && nghttp2_session_mem_recv(s->frames, piece, (size_t)count) != count) return -1;
    } while (count == sizeof piece);
    return session_flush(s);
}

/* Edge-triggered for writes as well: session_turn tries both directions at each event. */
static inline void session_watch(struct session *s, int epoll) {
    int one = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event) < 0) die("epoll_ctl");
}

static inline void session_settings(struct session *s) {
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
    nghttp2_submit_settings(s->frames, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(s->frames, NGHTTP2_FLAG_NONE, 0, WINDOW);
}

static inline int session_connect(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    return fd;
}
#endif
