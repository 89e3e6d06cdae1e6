/* shake PORT NAME PATH SECONDS full|resumed: TLS 1.3 handshakes with 127.0.0.1, one after the other.
 *
 * Each handshake is on a new connection, with one request for PATH; the server closes the connection. `resumed`: each
 * connection uses the session ticket of the one before. Certificates are not verified, because the work of the server is
 * measured, not that of the client. Prints one JSON object: {"handshakes", "resumed", "failures", "seconds"}.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static SSL_SESSION *session;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int keep(SSL *ssl, SSL_SESSION *fresh) {
    (void)ssl;
    SSL_SESSION_free(session);
    session = fresh;
    return 1;
}

static int reach(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* One connection. Returns 1 if the response has status 200. */
static int ask(SSL_CTX *context, int port, const char *name, const char *request, int resume, long *resumed) {
    char answer[4096];
    int fd = reach(port), good = 0, size;
    if (fd < 0) return 0;
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, name);
    if (resume && session) SSL_set_session(ssl, session);
    if (SSL_connect(ssl) == 1 && SSL_write(ssl, request, strlen(request)) > 0) {
        size = SSL_read(ssl, answer, sizeof answer);
        good = size > 12 && memcmp(answer + 9, "200", 3) == 0;
        while (size > 0) size = SSL_read(ssl, answer, sizeof answer);
        *resumed += SSL_session_reused(ssl);
    }
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* otherwise libssl marks the session as not resumable */
    SSL_free(ssl);
    close(fd);
    return good;
}

int main(int count, char **words) {
    if (count != 6) return 2;
    int port = atoi(words[1]), resume = strcmp(words[5], "resumed") == 0;
    char request[2048];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", words[3], words[2]);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(context, "X25519");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep);
    long handshakes = 0, failures = 0, resumed = 0;
    double start = now(), end = start + atof(words[4]);
    while (now() < end) {
        if (ask(context, port, words[2], request, resume, &resumed)) handshakes++;
        else failures++;
        if (failures > 100) break;
    }
    printf("{\"handshakes\": %ld, \"resumed\": %ld, \"failures\": %ld, \"seconds\": %f}\n", handshakes, resumed, failures,
           now() - start);
    return 0;
}
