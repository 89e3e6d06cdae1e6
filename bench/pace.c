/* pace PORT PATH RATE CONNECTIONS SECONDS: an open loop over kept-alive HTTP/1.1 connections to 127.0.0.1.
 *
 * Request k is due at k/RATE seconds, independently of the responses to earlier requests. It is sent on an idle connection;
 * if there is none, it waits, and the wait is part of its latency: from the time at which it was due to the last byte of its
 * response. Responses must have a Content-Length. Prints one JSON object: {"p50", "p99" (milliseconds), "answered",
 * "failures"}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_ROOM = 8192, PIECE = 65536, EVENTS = 256, MAX_CONNECTIONS = 4096 };

struct connection {
    int fd;
    double due;        /* when the request in flight was due; < 0: idle */
    size_t head;       /* received bytes of the response head */
    long body;         /* missing bytes of the body; < 0: the head is not complete */
    char text[HEAD_ROOM];
};

static struct connection connections[MAX_CONNECTIONS];
static int idle[MAX_CONNECTIONS], idle_count;
static double *latencies;
static long answered, failures;
static char request[4096];
static size_t request_length;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void open_connection(int epoll, int index, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct connection *c = &connections[index];
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl");
    c->due = -1;
    idle[idle_count++] = index;
}

static void send_request(int index, double due) {
    struct connection *c = &connections[index];
    c->due = due;
    c->head = 0;
    c->body = -1;
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) die("send");
}

static void finish(int index, double at) {
    struct connection *c = &connections[index];
    if (strncmp(c->text, "HTTP/1.1 200", 12) != 0) failures++;
    latencies[answered++] = at - c->due;
    c->due = -1;
    idle[idle_count++] = index;
}

/* Processes bytes of a response. Returns 1 if it is complete. */
static int take(struct connection *c, const char *bytes, size_t length) {
    size_t at = 0;
    while (c->body < 0 && at < length) {
        if (c->head == HEAD_ROOM - 1) { errno = EMSGSIZE; die("head"); }
        c->text[c->head++] = bytes[at++];
        if (c->head >= 4 && memcmp(c->text + c->head - 4, "\r\n\r\n", 4) == 0) {
            c->text[c->head] = 0;
            char *field = strcasestr(c->text, "\r\ncontent-length:");
            if (field == NULL) { errno = EPROTO; die("response without Content-Length"); }
            c->body = strtol(field + 17, NULL, 10);
        }
    }
    if (c->body >= 0) c->body -= (long)(length - at);
    return c->body == 0;
}

static void receive(int epoll, int index, int port) {
    static char piece[PIECE];
    struct connection *c = &connections[index];
    ssize_t length = recv(c->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        if (c->due < 0) { errno = ECONNRESET; die("an idle connection was closed"); }
        failures++;
        close(c->fd);
        open_connection(epoll, index, port);
        return;
    }
    if (c->due >= 0 && take(c, piece, (size_t)length)) finish(index, now());
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void set_timer(int timer, double at) {
    struct itimerspec spec = {0};
    spec.it_value.tv_sec = (time_t)at;
    spec.it_value.tv_nsec = (long)((at - (double)spec.it_value.tv_sec) * 1e9);
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void run(int epoll, int timer, int port, double rate, double seconds) {
    long total = (long)(rate * seconds), sent = 0;
    double begin = now() + 0.01, give_up = begin + seconds + 5;
    struct epoll_event events[EVENTS];
    while (answered + failures < total && now() < give_up) {
        for (double due; sent < total && idle_count > 0 && (due = begin + sent / rate) <= now(); sent++)
            send_request(idle[--idle_count], due);
        double due = begin + sent / rate;
        set_timer(timer, sent < total && idle_count > 0 && due < give_up ? due : give_up);
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            uint64_t expirations;
            if (events[i].data.u32 == MAX_CONNECTIONS) {
                if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("timer");
            } else {
                receive(epoll, (int)events[i].data.u32, port);
            }
        }
    }
    failures += total - answered - failures > 0 ? total - answered - failures : 0;
}

int main(int count, char **words) {
    if (count != 6) {
        fprintf(stderr, "usage: pace PORT PATH RATE CONNECTIONS SECONDS\n");
        return 2;
    }
    int port = atoi(words[1]), wanted = atoi(words[4]);
    double rate = atof(words[3]), seconds = atof(words[5]);
    if (wanted < 1 || wanted > MAX_CONNECTIONS || rate <= 0 || seconds <= 0) return 2;
    request_length = (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", words[2], port);
    latencies = calloc((size_t)(rate * seconds) + 1, sizeof *latencies);
    int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = MAX_CONNECTIONS};
    if (latencies == NULL || epoll < 0 || timer < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) < 0) die("setup");
    for (int i = 0; i < wanted; i++) open_connection(epoll, i, port);
    run(epoll, timer, port, rate, seconds);
    qsort(latencies, (size_t)answered, sizeof *latencies, by_value);
    double p50 = answered ? latencies[answered / 2] * 1e3 : 0, p99 = answered ? latencies[answered * 99 / 100] * 1e3 : 0;
    printf("{\"p50\": %.4f, \"p99\": %.4f, \"answered\": %ld, \"failures\": %ld}\n", p50, p99, answered, failures);
    return 0;
}
