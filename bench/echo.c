/* echo PORT: a server of gRPC that answers each message with one of the same size (zeros), over HTTP/2 without TLS.
 *
 * All messages of a call must have the size of the first. A call ends with grpc-status 0 when the client has ended its side.
 * Like servers of gRPC, it sends each message in a DATA frame of its own. It is small, so that a proxy is the bottleneck.
 */
#include "session.h"

struct call {
    unsigned char prefix[5];
    size_t size, received, sent; /* of a message with its prefix; bytes; messages */
    int ended, begun;
};

static nghttp2_session_callbacks *callbacks;
static const char zeros[PIECE];

static int on_begin(nghttp2_session *frames, const nghttp2_frame *frame, void *user) {
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) die("calloc");
    return nghttp2_session_set_stream_user_data(frames, frame->hd.stream_id, call);
}

static ssize_t read_message(nghttp2_session *frames, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *user) {
    (void)user;
    struct call *call = source->ptr;
    if (call->size && (call->sent + 1) * call->size <= call->received && call->size <= room) {
        memcpy(to, call->prefix, sizeof call->prefix);
        memcpy(to + 5, zeros, call->size - 5);
        call->sent++;
        return (ssize_t)call->size;
    }
    if (!call->ended) return NGHTTP2_ERR_DEFERRED;
    nghttp2_nv status[] = {FIELD("grpc-status", "0")};
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(frames, stream, status, 1);
    return 0;
}

static void answer(nghttp2_session *frames, int32_t stream, struct call *call) {
    nghttp2_nv head[] = {FIELD(":status", "200"), FIELD("content-type", "application/grpc")};
    nghttp2_data_provider provider = {{.ptr = call}, read_message};
    if (call->begun) {
        nghttp2_session_resume_data(frames, stream);
    } else {
        call->begun = 1;
        nghttp2_submit_response(frames, stream, head, 2, &provider);
    }
}

static int on_data(nghttp2_session *frames, uint8_t flags, int32_t stream, const uint8_t *data, size_t length, void *user) {
    (void)flags, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(frames, stream);
    for (size_t i = 0; call->received + i < 5 && i < length; i++) call->prefix[call->received + i] = data[i];
    call->received += length;
    if (call->size == 0 && call->received >= 5) {
        uint32_t size;
        memcpy(&size, call->prefix + 1, sizeof size);
        call->size = ntohl(size) + 5;
        if (call->size > 16384) { errno = EMSGSIZE; die("a message"); }
    }
    if (call->size && call->received >= call->size) answer(frames, stream, call);
    return 0;
}

static int on_frame(nghttp2_session *frames, const nghttp2_frame *frame, void *user) {
    (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(frames, frame->hd.stream_id);
    if (call != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && frame->hd.type <= NGHTTP2_HEADERS) {
        call->ended = 1;
        answer(frames, frame->hd.stream_id, call);
    }
    return 0;
}

static int on_close(nghttp2_session *frames, int32_t stream, uint32_t code, void *user) {
    (void)code, (void)user;
    free(nghttp2_session_get_stream_user_data(frames, stream));
    return 0;
}

static void accept_all(int listening, int epoll) {
    for (int fd; (fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct session *s = calloc(1, sizeof *s);
        if (s == NULL) die("calloc");
        s->fd = fd;
        nghttp2_session_server_new(&s->frames, callbacks, NULL);
        session_settings(s);
        session_watch(s, epoll);
    }
}

int main(int count, char **words) {
    if (count != 2) return fprintf(stderr, "usage: echo PORT\n"), 2;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0), one = 1;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    if (bind(listening, (struct sockaddr *)&address, sizeof address) < 0 || listen(listening, 1024) < 0) die("listen");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event) < 0) die("epoll_ctl");
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct session *s = events[i].data.ptr;
            if (s == NULL) {
                accept_all(listening, epoll);
            } else if (session_turn(s) < 0) {
                close(s->fd);
                nghttp2_session_del(s->frames); /* calls that were open are not freed */
                free(s);
            }
        }
    }
}
