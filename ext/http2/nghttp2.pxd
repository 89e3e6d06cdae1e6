# What is used of libnghttp2, from 1.52 (Debian 12, with the security updates of 2023) on.

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t


cdef extern from "<nghttp2/nghttp2.h>" nogil:
    ctypedef struct nghttp2_session
    ctypedef struct nghttp2_option
    ctypedef struct nghttp2_session_callbacks
    enum:
        NGHTTP2_ERR_CALLBACK_FAILURE
        NGHTTP2_ERR_DEFERRED
        NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
        NGHTTP2_ERR_FLOODED
        NGHTTP2_ERR_BAD_CLIENT_MAGIC
        NGHTTP2_ERR_REFUSED_STREAM
        NGHTTP2_FLAG_NONE
        NGHTTP2_FLAG_END_STREAM
        NGHTTP2_FLAG_END_HEADERS
        NGHTTP2_FLAG_ACK
        NGHTTP2_DATA_FLAG_EOF
        NGHTTP2_DATA_FLAG_NO_END_STREAM
        NGHTTP2_DATA_FLAG_NO_COPY
        NGHTTP2_NV_FLAG_NO_COPY_NAME
        NGHTTP2_NV_FLAG_NO_COPY_VALUE
        NGHTTP2_NV_FLAG_NO_INDEX
        NGHTTP2_DATA                        # types of frames
        NGHTTP2_HEADERS
        NGHTTP2_PRIORITY
        NGHTTP2_RST_STREAM
        NGHTTP2_SETTINGS
        NGHTTP2_PING
        NGHTTP2_PUSH_PROMISE
        NGHTTP2_GOAWAY
        NGHTTP2_WINDOW_UPDATE
        NGHTTP2_CONTINUATION
        NGHTTP2_HCAT_REQUEST                # which head HEADERS are
        NGHTTP2_SETTINGS_ENABLE_PUSH
        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
        NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL
        NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES
        NGHTTP2_NO_ERROR                    # codes
        NGHTTP2_PROTOCOL_ERROR
        NGHTTP2_INTERNAL_ERROR
        NGHTTP2_REFUSED_STREAM
        NGHTTP2_CANCEL
        NGHTTP2_ENHANCE_YOUR_CALM
    ctypedef struct nghttp2_nv:
        uint8_t *name
        uint8_t *value
        size_t namelen
        size_t valuelen
        uint8_t flags
    ctypedef struct nghttp2_frame_hd:
        size_t length
        int32_t stream_id
        uint8_t type
        uint8_t flags
    ctypedef struct nghttp2_headers:
        int cat
    ctypedef struct nghttp2_rst_stream:
        uint32_t error_code
    ctypedef struct nghttp2_window_update:
        int32_t window_size_increment
    ctypedef struct nghttp2_goaway:
        int32_t last_stream_id
        uint32_t error_code
    ctypedef union nghttp2_frame:
        nghttp2_frame_hd hd
        nghttp2_headers headers
        nghttp2_rst_stream rst_stream
        nghttp2_window_update window_update
        nghttp2_goaway goaway
    ctypedef struct nghttp2_settings_entry:
        int32_t settings_id
        uint32_t value
    ctypedef union nghttp2_data_source:
        void *ptr
    ctypedef ssize_t (*Read "nghttp2_data_source_read_callback")(
        nghttp2_session *, int32_t, uint8_t *, size_t, uint32_t *, nghttp2_data_source *, void *) noexcept
    ctypedef struct nghttp2_data_provider:
        nghttp2_data_source source
        Read read_callback
    ctypedef struct nghttp2_mem:
        void *(*malloc)(size_t size, void *data) noexcept
        void (*free)(void *block, void *data) noexcept
        void *(*calloc)(size_t count, size_t size, void *data) noexcept
        void *(*realloc)(void *block, size_t size, void *data) noexcept
    int nghttp2_session_callbacks_new(nghttp2_session_callbacks **callbacks)
    int nghttp2_option_new(nghttp2_option **option)
    void nghttp2_option_set_no_auto_window_update(nghttp2_option *option, int value)
    void nghttp2_option_set_no_closed_streams(nghttp2_option *option, int value)
    void nghttp2_option_set_max_settings(nghttp2_option *option, size_t value)
    void nghttp2_option_set_max_outbound_ack(nghttp2_option *option, size_t value)
    void nghttp2_option_set_peer_max_concurrent_streams(nghttp2_option *option, uint32_t value)
    void nghttp2_option_set_stream_reset_rate_limit(nghttp2_option *option, uint64_t burst, uint64_t rate)
    void nghttp2_option_set_max_send_header_block_length(nghttp2_option *option, size_t value)
    int nghttp2_session_server_new3(nghttp2_session **session, const nghttp2_session_callbacks *callbacks, void *data,
                                    const nghttp2_option *option, nghttp2_mem *memory)
    int nghttp2_session_client_new3(nghttp2_session **session, const nghttp2_session_callbacks *callbacks, void *data,
                                    const nghttp2_option *option, nghttp2_mem *memory)
    void nghttp2_session_del(nghttp2_session *session)
    ssize_t nghttp2_session_mem_recv(nghttp2_session *session, const uint8_t *data, size_t size)
    ssize_t nghttp2_session_mem_send(nghttp2_session *session, const uint8_t **data)
    int nghttp2_session_want_read(nghttp2_session *session)
    int nghttp2_session_want_write(nghttp2_session *session)
    void *nghttp2_session_get_stream_user_data(nghttp2_session *session, int32_t id)
    int nghttp2_session_set_stream_user_data(nghttp2_session *session, int32_t id, void *data)
    int32_t nghttp2_session_get_stream_remote_window_size(nghttp2_session *session, int32_t id)
    int32_t nghttp2_session_get_remote_window_size(nghttp2_session *session)
    int nghttp2_session_get_stream_local_close(nghttp2_session *session, int32_t id)
    int nghttp2_session_get_stream_remote_close(nghttp2_session *session, int32_t id)
    int32_t nghttp2_session_get_last_proc_stream_id(nghttp2_session *session)
    uint32_t nghttp2_session_get_remote_settings(nghttp2_session *session, int id)
    int nghttp2_session_set_local_window_size(nghttp2_session *session, uint8_t flags, int32_t id, int32_t size)
    int nghttp2_session_consume(nghttp2_session *session, int32_t id, size_t size)
    int nghttp2_session_consume_connection(nghttp2_session *session, size_t size)
    int nghttp2_session_resume_data(nghttp2_session *session, int32_t id)
    int nghttp2_session_terminate_session(nghttp2_session *session, uint32_t code)
    int nghttp2_submit_settings(nghttp2_session *session, uint8_t flags, const nghttp2_settings_entry *entries,
                                size_t count)
    int nghttp2_submit_shutdown_notice(nghttp2_session *session)
    int nghttp2_submit_goaway(nghttp2_session *session, uint8_t flags, int32_t last, uint32_t code,
                              const uint8_t *text, size_t size)
    int nghttp2_submit_ping(nghttp2_session *session, uint8_t flags, const uint8_t *data)
    int nghttp2_submit_rst_stream(nghttp2_session *session, uint8_t flags, int32_t id, uint32_t code)
    int nghttp2_submit_headers(nghttp2_session *session, uint8_t flags, int32_t id, const void *priority,
                               const nghttp2_nv *fields, size_t count, void *data)
    int nghttp2_submit_response(nghttp2_session *session, int32_t id, const nghttp2_nv *fields, size_t count,
                                const nghttp2_data_provider *provider)
    int32_t nghttp2_submit_request(nghttp2_session *session, const void *priority, const nghttp2_nv *fields, size_t count,
                                   const nghttp2_data_provider *provider, void *data)
    int nghttp2_submit_trailer(nghttp2_session *session, int32_t id, const nghttp2_nv *fields, size_t count)
    # The last argument of every callback, `void *`, is the Reactor: the `data` of every session. Casts hide the difference,
    # because the type of a Python object cannot be cast without the GIL.
    void set_begin_headers "nghttp2_session_callbacks_set_on_begin_headers_callback"(nghttp2_session_callbacks *, void *)
    void set_header "nghttp2_session_callbacks_set_on_header_callback"(nghttp2_session_callbacks *, void *)
    void set_invalid_header "nghttp2_session_callbacks_set_on_invalid_header_callback"(
        nghttp2_session_callbacks *, void *)
    void set_data_chunk_recv "nghttp2_session_callbacks_set_on_data_chunk_recv_callback"(
        nghttp2_session_callbacks *, void *)
    void set_begin_frame "nghttp2_session_callbacks_set_on_begin_frame_callback"(nghttp2_session_callbacks *, void *)
    void set_frame_recv "nghttp2_session_callbacks_set_on_frame_recv_callback"(nghttp2_session_callbacks *, void *)
    void set_invalid_frame_recv "nghttp2_session_callbacks_set_on_invalid_frame_recv_callback"(
        nghttp2_session_callbacks *, void *)
    void set_frame_send "nghttp2_session_callbacks_set_on_frame_send_callback"(nghttp2_session_callbacks *, void *)
    void set_stream_close "nghttp2_session_callbacks_set_on_stream_close_callback"(nghttp2_session_callbacks *, void *)
    void set_send_data "nghttp2_session_callbacks_set_send_data_callback"(nghttp2_session_callbacks *, void *)
