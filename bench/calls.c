/* calls PORT PATH CONNECTIONS STREAMS MESSAGES BYTES SECONDS: a closed loop of gRPC calls to 127.0.0.1 over HTTP/2.
 *
 * STREAMS calls are open on each connection. With MESSAGES > 0 they stay open, and each has that many messages of BYTES
 * bytes in flight: it sends one more for each that it receives. With MESSAGES 0 each call has one message, and the next call
 * begins when it has ended. When the time is over, each call is ended and must end well: status 200, one answer for each
 * message, grpc-status 0. Prints one JSON object: {"messages", "calls", "failures", "seconds"}.
 */
#include "session.h"

enum { MAX_CONNECTIONS = 256 };

struct call {
    size_t sent, received; /* messages; bytes of the response */
    size_t size;           /* of a message of the response, with its prefix */
    unsigned char prefix[5];
    int status, good; /* of HTTP; grpc-status is 0 */
};

static int port, streams, in_flight, bytes, over;
static long messages, calls, failures, open_calls;
static const char *path;
static char authority[32];

static size_t answered(const struct call *call) { return call->size ? call->received / call->size : 0; }

static ssize_t read_message(nghttp2_session *frames, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *user) {
    (void)frames, (void)stream, (void)user, (void)room;
    struct call *call = source->ptr;
    if (call->sent >= answered(call) + (size_t)(in_flight ? in_flight : 1) || (over && call->sent > 0)) {
        if (!over) return NGHTTP2_ERR_DEFERRED;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return 0;
    }
    uint32_t size = htonl((uint32_t)bytes);
    memset(to, 0, (size_t)bytes + 5);
    memcpy(to + 1, &size, sizeof size);
    if (bytes >= 2) to[5] = 15 << 3 | 2, to[6] = (uint8_t)(bytes - 2); /* a field of a protocol buffer that nobody knows */
    call->sent++;
    if (!in_flight) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return bytes + 5;
}

static void begin(nghttp2_session *frames) {
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) die("calloc");
    nghttp2_nv head[] = {
        FIELD(":method", "POST"), FIELD(":scheme", "http"), FIELD(":path", ""), FIELD(":authority", ""),
        FIELD("content-type", "application/grpc"), FIELD("te", "trailers"), FIELD("user-agent", "bench")};
    head[2].value = (uint8_t *)path, head[2].valuelen = strlen(path);
    head[3].value = (uint8_t *)authority, head[3].valuelen = strlen(authority);
    nghttp2_data_provider provider = {{.ptr = call}, read_message};
    if (nghttp2_submit_request(frames, NULL, head, 7, &provider, call) < 0) die("nghttp2_submit_request");
    open_calls++;
}

static int on_field(nghttp2_session *frames, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                    const uint8_t *value, size_t length, uint8_t flags, void *user) {
    (void)flags, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(frames, frame->hd.stream_id);
    if (call == NULL) return 0;
    if (name_length == 7 && memcmp(name, ":status", 7) == 0) call->status = atoi((const char *)value);
    if (name_length == 11 && memcmp(name, "grpc-status", 11) == 0) call->good = length == 1 && value[0] == '0';
    return 0;
}

static int on_data(nghttp2_session *frames, uint8_t flags, int32_t stream, const uint8_t *data, size_t length, void *user) {
    (void)flags, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(frames, stream);
    size_t before = answered(call);
    for (size_t i = 0; call->received + i < 5 && i < length; i++) call->prefix[call->received + i] = data[i];
    call->received += length;
    if (call->size == 0 && call->received >= 5) {
        uint32_t size;
        memcpy(&size, call->prefix + 1, sizeof size);
        call->size = ntohl(size) + 5;
    }
    messages += (long)(answered(call) - before);
    if (in_flight && answered(call) > before) nghttp2_session_resume_data(frames, stream);
    return 0;
}

static int on_close(nghttp2_session *frames, int32_t stream, uint32_t code, void *user) {
    (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(frames, stream);
    int whole = call->size && call->received == call->sent * call->size;
    calls++;
    open_calls--;
    if (code != 0 || call->status != 200 || !call->good || !whole) failures++;
    free(call);
    if (!over) begin(frames);
    return 0;
}

static void end_calls(nghttp2_session *frames) {
    for (int32_t stream = 1; stream <= 2 * streams; stream += 2) nghttp2_session_resume_data(frames, stream);
}

int main(int count, char **words) {
    static struct session sessions[MAX_CONNECTIONS];
    if (count != 8) return fprintf(stderr, "usage: calls PORT PATH CONNECTIONS STREAMS MESSAGES BYTES SECONDS\n"), 2;
    port = atoi(words[1]), path = words[2], streams = atoi(words[4]), in_flight = atoi(words[5]), bytes = atoi(words[6]);
    int connections = atoi(words[3]), epoll = epoll_create1(0);
    double seconds = atof(words[7]);
    if (connections < 1 || connections > MAX_CONNECTIONS || bytes < 0 || bytes > 129 || epoll < 0) return 2;
    snprintf(authority, sizeof authority, "127.0.0.1:%d", port);
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    double begun = now(), end = begun + seconds;
    for (int i = 0; i < connections; i++) {
        struct session *s = &sessions[i];
        s->fd = session_connect(port);
        nghttp2_session_client_new(&s->frames, callbacks, NULL);
        session_settings(s);
        session_watch(s, epoll);
        for (int j = 0; j < streams; j++) begin(s->frames);
        if (session_flush(s) < 0) die("send");
    }
    struct epoll_event events[EVENTS];
    while (open_calls > 0 && now() < end + 5) {
        int ready = epoll_wait(epoll, events, EVENTS, 10);
        for (int i = 0; i < ready; i++)
            if (session_turn(events[i].data.ptr) < 0) { errno = ECONNRESET; die("a connection"); }
        if (!over && now() >= end) {
            over = 1;
            for (int i = 0; i < connections; i++) end_calls(sessions[i].frames), session_flush(&sessions[i]);
        }
    }
    failures += open_calls;
    printf("{\"messages\": %ld, \"calls\": %ld, \"failures\": %ld, \"seconds\": %.6f}\n", messages, calls, failures, now() - begun);
    return 0;
}
