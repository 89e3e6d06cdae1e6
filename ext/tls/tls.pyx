"""The TLS of one client or backend; see tls.pxd.

The error queue of libssl is empty between calls: code that finds an error clears it. The number of consecutive records
without data (key updates, empty records) is limited: an endless sequence would keep the engine busy.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from fastroute.ext.memory.buffer cimport buffer_free, buffers_note
from fastroute.ext.tls.admission cimport (
    CLIENTS_REQUIRED, CLIENTS_UNASKED, SHOWN, admission_fault, admission_holds, admission_memory,
)
from fastroute.ext.tls.certificate cimport DIGEST
from fastroute.ext.tls.identity cimport identity_of
from fastroute.ext.tls.openssl cimport (
    BIO_CTRL_FLUSH, BIO_METHOD, BIO_TYPE_SOURCE_SINK, BIO_clear_retry_flags, BIO_get_data, BIO_get_new_index,
    BIO_meth_new, BIO_meth_set_ctrl, BIO_meth_set_read, BIO_meth_set_write, BIO_new, BIO_set_data, BIO_set_init,
    BIO_set_retry_read, BIO_set_retry_write, ERR_clear_error, ERR_peek_error, ERR_reason_error_string,
    SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_ZERO_RETURN, SSL_do_handshake, SSL_free,
    SSL_get0_alpn_selected, SSL_get0_peer_certificate, SSL_get_error, SSL_get_peer_cert_chain, SSL_get_verify_result, SSL_get_version,
    SSL_has_pending, SSL_in_init, SSL_pending, SSL_read, SSL_rstate_string, SSL_session_reused,
    SSL_set_ex_data,    SSL_set1_verify_cert_store, SSL_set_bio, SSL_shutdown, SSL_write, X509, X509_STACK,
    X509_V_ERR_APPLICATION_VERIFICATION, X509_V_OK,
    X509_verify_cert_error_string, sk_X509_num, sk_X509_value,
)
from fastroute.ext.tls.secure cimport secure_open
from fastroute.ext.tls.verification cimport verification_forget, verification_open

cdef enum:
    READS_MOST = 256            # records decrypted in one call; the rest waits for the next call
    IDLE_MOST = 64              # consecutive records without data


# --- the pipe that libssl uses instead of a socket


cdef int pipe_read(BIO *bio, char *into, int room) noexcept nogil:
    cdef Pipe *pipe = <Pipe *> BIO_get_data(bio)
    cdef uint32_t size = <uint32_t> room if room > 0 else 0
    BIO_clear_retry_flags(bio)
    if pipe.input_size == 0:
        BIO_set_retry_read(bio)
        return -1
    if size > pipe.input_size:
        size = pipe.input_size
    memcpy(into, pipe.input, size)
    pipe.input += size
    pipe.input_size -= size
    return <int> size


cdef int pipe_write(BIO *bio, const char *data, int size) noexcept nogil:
    cdef Pipe *pipe = <Pipe *> BIO_get_data(bio)
    cdef uint32_t room = PIPE_ROOM - pipe.output_size
    BIO_clear_retry_flags(bio)
    if size <= 0:
        return 0
    if room == 0:
        BIO_set_retry_write(bio)
        return -1
    if <uint32_t> size < room:
        room = <uint32_t> size
    memcpy(pipe.output + pipe.output_size, data, room)
    pipe.output_size += room
    return <int> room


cdef long pipe_ctrl(BIO *bio, int command, long number, void *data) noexcept nogil:
    return command == BIO_CTRL_FLUSH


cdef BIO_METHOD *pipe_method() except NULL:
    cdef BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, b"pipe")
    if method is NULL:
        raise MemoryError
    BIO_meth_set_read(method, pipe_read)
    BIO_meth_set_write(method, pipe_write)
    BIO_meth_set_ctrl(method, pipe_ctrl)
    return method

cdef BIO_METHOD *_method = pipe_method()


cdef int pipe_open(Pipe *pipe) except -1:
    pipe.output = <char *> malloc(PIPE_ROOM)
    if pipe.output is NULL:
        raise MemoryError
    return 0


cdef void pipe_free(Pipe *pipe) noexcept nogil:
    free(pipe.output)
    pipe.output = NULL


# --- one connection


cdef Tls *tls_new(const Secure *secure, Pipe *pipe, const char *name, uint32_t size) noexcept nogil:
    cdef Tls *tls = <Tls *> calloc(1, sizeof(Tls) + size)
    cdef uint32_t longest
    if tls is NULL:
        return NULL
    tls.ssl = secure_open(secure, name, size, &longest)
    if not connect_pipe(tls, pipe) or SSL_set_ex_data(tls.ssl, SHOWN, &tls.shown) != 1:
        tls_free(tls)
        return NULL
    tls.clients = secure.clients
    memcpy(tls.digest, secure.digest, DIGEST)
    tls.flow = secure.flow
    tls.owner = secure.owner
    tls.message = max(<uint32_t> MESSAGE_MEMORY, longest // 3 * 8)    # libssl doubles its memory, and adds a third
    note(tls, IDLE_MEMORY)
    memcpy(tls.name, name, size)
    tls.name_size = <uint16_t> size
    return tls


cdef Tls *tls_new_backend(Verification *verification, Pipe *pipe, uint64_t endpoint) noexcept nogil:
    cdef Tls *tls = <Tls *> calloc(1, sizeof(Tls))
    if tls is NULL:
        return NULL
    tls.dialogue.verification = verification
    tls.dialogue.endpoint = endpoint
    tls.ssl = verification_open(&tls.dialogue)
    if not connect_pipe(tls, pipe):
        tls_free(tls)
        return NULL
    tls.message = MESSAGE_MEMORY
    note(tls, IDLE_MEMORY)
    return tls


cdef bint connect_pipe(Tls *tls, Pipe *pipe) noexcept nogil:
    """False: there is no libssl connection, or no memory."""
    cdef BIO *bio = BIO_new(_method) if tls.ssl is not NULL else NULL
    if bio is NULL:
        ERR_clear_error()
        return False
    BIO_set_data(bio, pipe)
    BIO_set_init(bio, 1)
    SSL_set_bio(tls.ssl, bio, bio)
    return True


cdef void tls_free(Tls *tls) noexcept nogil:
    note(tls, 0)
    SSL_free(tls.ssl)
    buffer_free(&tls.input)
    buffer_free(&tls.sealed)
    free(tls.identity)
    free(tls)


cdef void note(Tls *tls, uint32_t size) noexcept nogil:
    buffers_note(<int64_t> size - <int64_t> tls.memory)
    tls.memory = size


cdef void weigh(Tls *tls) noexcept nogil:
    """Notes the memory of libssl as estimated from its state."""
    cdef uint32_t size = IDLE_MEMORY + tls.shown
    if SSL_in_init(tls.ssl):
        size += HANDSHAKE_MEMORY + tls.message if tls.handshaking else MESSAGE_MEMORY
    if SSL_has_pending(tls.ssl) or SSL_rstate_string(tls.ssl)[1] == b"B":     # it reads the body of a record
        size += RECORD_MEMORY
    if size != tls.memory:
        note(tls, size)


cdef int progress(Tls *tls, int outcome) noexcept nogil:
    """The Progress for an outcome of libssl that is not a success."""
    cdef int error = SSL_get_error(tls.ssl, outcome)
    if error == SSL_ERROR_WANT_READ:
        return PROGRESS_WAIT
    if error == SSL_ERROR_WANT_WRITE:
        return PROGRESS_FULL
    tls.error = ERR_peek_error()
    ERR_clear_error()
    return PROGRESS_CLOSED if error == SSL_ERROR_ZERO_RETURN else PROGRESS_BROKEN


cdef bint has_agreed(const Tls *tls) noexcept nogil:
    """False: HTTP/2 is required, and the backend has not agreed to it (RFC 9113 section 3.2)."""
    return tls.dialogue.verification is NULL or not tls.dialogue.verification.http2 or tls_speaks_http2(tls)


cdef int tls_handshake(Tls *tls) noexcept nogil:
    cdef int outcome = SSL_do_handshake(tls.ssl)
    weigh(tls)
    if outcome == 1:
        return PROGRESS_DONE if has_agreed(tls) else PROGRESS_BROKEN
    outcome = progress(tls, outcome)
    if tls.dialogue.verification is not NULL and (outcome == PROGRESS_BROKEN or outcome == PROGRESS_CLOSED):
        verification_forget(&tls.dialogue)
    return outcome


cdef const char *tls_fault(const Tls *tls, bint *invalid) noexcept nogil:
    cdef long verified = SSL_get_verify_result(tls.ssl)
    cdef const char *text = NULL
    if tls.error:
        text = ERR_reason_error_string(tls.error)
    invalid[0] = verified != X509_V_OK
    if verified == X509_V_ERR_APPLICATION_VERIFICATION:
        return b"the certificates are too expensive to verify"
    if invalid[0]:
        return X509_verify_cert_error_string(verified)
    if text is not NULL:
        return text
    if not SSL_in_init(tls.ssl) and not has_agreed(tls):
        return b"the backend does not agree to HTTP/2 (ALPN)"
    return b"the connection was closed"


cdef bint tls_identify(Tls *tls) noexcept nogil:
    cdef X509 *leaf = SSL_get0_peer_certificate(tls.ssl) if tls.clients != CLIENTS_UNASKED else NULL
    cdef X509_STACK *chain
    cdef int i
    if tls.clients != CLIENTS_UNASKED:
        SSL_set1_verify_cert_store(tls.ssl, NULL)
    if leaf is NULL:
        return True
    chain = SSL_get_peer_cert_chain(tls.ssl)        # without the leaf; NULL: the session was resumed
    tls.shown = admission_memory(leaf)
    for i in range(0 if chain is NULL else sk_X509_num(chain)):
        tls.shown += admission_memory(sk_X509_value(chain, i))
    if SSL_get_verify_result(tls.ssl) == X509_V_OK and not identify(tls, leaf):
        return False
    weigh(tls)
    return True


cdef bint identify(Tls *tls, X509 *leaf) noexcept nogil:
    """False: out of memory."""
    tls.identity = identity_of(leaf, &tls.identity_size)
    tls.shown += tls.identity_size
    return tls.identity is not NULL


cdef bint tls_admit(Tls *tls, const Secure *secure) noexcept nogil:
    if tls.clients == secure.clients and memcmp(tls.digest, secure.digest, DIGEST) == 0:
        return not tls.refused
    tls.clients = secure.clients
    memcpy(tls.digest, secure.digest, DIGEST)
    tls.shown -= tls.identity_size
    tls.identity_size = 0
    free(tls.identity)
    tls.identity = NULL
    if secure.clients != CLIENTS_UNASKED and secure.context is not NULL \
            and admission_holds(tls.ssl, secure.context.store):
        tls.refused = not identify(tls, SSL_get0_peer_certificate(tls.ssl))
    else:
        tls.refused = secure.clients == CLIENTS_REQUIRED
    weigh(tls)
    return not tls.refused


cdef const char *tls_refused(const Tls *tls) noexcept nogil:
    return admission_fault(tls.ssl, tls.clients, tls.error) if tls.clients != CLIENTS_UNASKED else NULL


cdef bint tls_resumed(const Tls *tls) noexcept nogil:
    return SSL_session_reused(tls.ssl) == 1


cdef const char *tls_version(const Tls *tls) noexcept nogil:
    return SSL_get_version(tls.ssl)


cdef bint tls_speaks_http2(const Tls *tls) noexcept nogil:
    cdef const unsigned char *name = NULL
    cdef unsigned int size = 0
    SSL_get0_alpn_selected(tls.ssl, &name, &size)
    return size == 2 and memcmp(name, b"h2", 2) == 0


cdef long tls_read(Tls *tls, Pipe *pipe, char *into, uint32_t room) noexcept nogil:
    cdef uint32_t size = 0
    cdef int outcome, _
    tls.more = False
    for _ in range(READS_MOST):
        outcome = SSL_read(tls.ssl, into + size, <int> (room - size))
        if outcome > 0:
            size += <uint32_t> outcome
            tls.idle_records = 0
            if size < room:
                continue
            tls.more = SSL_pending(tls.ssl) > 0
            break
        outcome = progress(tls, outcome)
        if outcome == PROGRESS_WAIT and pipe.input_size:
            tls.idle_records += 1       # that record had no data
            if tls.idle_records <= IDLE_MOST:
                continue
            outcome = PROGRESS_BROKEN
        if outcome == PROGRESS_CLOSED or outcome == PROGRESS_BROKEN:
            tls.over = <int8_t> outcome
            pipe.input_size = 0
        break
    weigh(tls)
    if size:
        return size
    return tls.over             # negative: not in one expression with an unsigned number


cdef int tls_write(Tls *tls, const char *data, uint32_t size) noexcept nogil:
    cdef int taken
    while size:
        taken = SSL_write(tls.ssl, data, <int> size)    # less than all if the client asked for shorter records
        if taken <= 0:
            ERR_clear_error()
            return -1
        data += taken
        size -= <uint32_t> taken
    return 0


cdef void tls_close(Tls *tls) noexcept nogil:
    if tls.closed:
        return
    tls.closed = True
    if SSL_shutdown(tls.ssl) < 0:
        ERR_clear_error()
