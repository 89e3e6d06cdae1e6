/* pace2 PORT PATH RATE CONNECTIONS SECONDS: an open loop like pace.c, over HTTP/2 connections to 127.0.0.1.
 *
 * Request k is due at k/RATE seconds, independently of the responses to earlier requests, on connection k modulo
 * CONNECTIONS. Its latency is from the time at which it was due to the end of its stream. Prints one JSON object: {"p50",
 * "p99" (milliseconds), "answered", "failures"}.
 */
#include "session.h"
#include <stdint.h>
#include <sys/timerfd.h>

enum { MAX_CONNECTIONS = 4096 };

struct request {
    double due;
    int status;
};

static double *latencies;
static long answered, failures;

static int on_field(nghttp2_session *frames, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                    const uint8_t *value, size_t length, uint8_t flags, void *user) {
    (void)flags, (void)user, (void)length;
    struct request *request = nghttp2_session_get_stream_user_data(frames, frame->hd.stream_id);
    if (request != NULL && name_length == 7 && memcmp(name, ":status", 7) == 0) request->status = atoi((const char *)value);
    return 0;
}

static int on_close(nghttp2_session *frames, int32_t stream, uint32_t code, void *user) {
    (void)user;
    struct request *request = nghttp2_session_get_stream_user_data(frames, stream);
    if (code == 0 && request->status == 200) latencies[answered++] = now() - request->due;
    else failures++;
    free(request);
    return 0;
}

static void send_request(struct session *s, const char *path, const char *authority, double due) {
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) die("calloc");
    request->due = due;
    nghttp2_nv head[] = {FIELD(":method", "GET"), FIELD(":scheme", "http"), FIELD(":path", ""), FIELD(":authority", ""),
                         FIELD("user-agent", "bench")};
    head[2].value = (uint8_t *)path, head[2].valuelen = strlen(path);
    head[3].value = (uint8_t *)authority, head[3].valuelen = strlen(authority);
    if (nghttp2_submit_request(s->frames, NULL, head, 5, NULL, request) < 0) die("nghttp2_submit_request");
    if (session_flush(s) < 0) die("send");
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

static void run(int epoll, struct session *sessions, int connections, const char *path, const char *authority, double rate,
                double seconds) {
    long total = (long)(rate * seconds), sent = 0;
    double begin = now() + 0.01, give_up = begin + seconds + 5;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    if (timer < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) < 0) die("timer");
    while (answered + failures < total && now() < give_up) {
        for (double due; sent < total && (due = begin + sent / rate) <= now(); sent++)
            send_request(&sessions[sent % connections], path, authority, due);
        set_timer(timer, sent < total ? begin + sent / rate : give_up);
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            uint64_t expirations;
            if (events[i].data.ptr == NULL) {
                if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("timer");
            } else if (session_turn(events[i].data.ptr) < 0) {
                errno = ECONNRESET;
                die("a connection");
            }
        }
    }
    failures = total - answered;
}

int main(int count, char **words) {
    static struct session sessions[MAX_CONNECTIONS];
    char authority[32];
    if (count != 6) return fprintf(stderr, "usage: pace2 PORT PATH RATE CONNECTIONS SECONDS\n"), 2;
    int port = atoi(words[1]), connections = atoi(words[4]), epoll = epoll_create1(0);
    double rate = atof(words[3]), seconds = atof(words[5]);
    if (connections < 1 || connections > MAX_CONNECTIONS || rate <= 0 || seconds <= 0 || epoll < 0) return 2;
    snprintf(authority, sizeof authority, "127.0.0.1:%d", port);
    latencies = calloc((size_t)(rate * seconds) + 1, sizeof *latencies);
    if (latencies == NULL) die("calloc");
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    for (int i = 0; i < connections; i++) {
        struct session *s = &sessions[i];
        s->fd = session_connect(port);
        nghttp2_session_client_new(&s->frames, callbacks, NULL);
        session_settings(s);
        session_watch(s, epoll);
        if (session_flush(s) < 0) die("send");
    }
    run(epoll, sessions, connections, words[2], authority, rate, seconds);
    qsort(latencies, (size_t)answered, sizeof *latencies, by_value);
    double p50 = answered ? latencies[answered / 2] * 1e3 : 0, p99 = answered ? latencies[answered * 99 / 100] * 1e3 : 0;
    printf("{\"p50\": %.4f, \"p99\": %.4f, \"answered\": %ld, \"failures\": %ld}\n", p50, p99, answered, failures);
    return 0;
}
