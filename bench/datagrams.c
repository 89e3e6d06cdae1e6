/* datagrams echo PORT: answers every datagram at 127.0.0.1:PORT with itself, until it is killed.
 *
 * datagrams load PORT FLOWS SIZE WINDOW SECONDS: sends datagrams of SIZE bytes to 127.0.0.1:PORT from FLOWS sockets, one
 * after another, with at most WINDOW unanswered ones. A datagram that is not answered within a second counts as lost. Prints
 * one JSON object: {"answered", "lost"}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, ROOM = 2048, EVENTS = 256 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void echo(int port) {
    static char bytes[BATCH][ROOM];
    static struct sockaddr_in names[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){bytes[i], ROOM};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) parts[i].iov_len = messages[i].msg_len;
        for (int done = 0; done < count;) {
            int sent = sendmmsg(fd, messages + done, (unsigned)(count - done), 0);
            done += sent > 0 ? sent : 1;
        }
    }
}

static int *flows;
static int count, next, waiting, size;
static char content[ROOM];

static void fill(int window) {
    for (; waiting < window; waiting++) {
        if (send(flows[next], content, (size_t)size, 0) < 0 && errno != ECONNREFUSED) die("send");
        next = (next + 1) % count;
    }
}

static int load(int port, int window, double seconds) {
    struct sockaddr_in address = loopback(port);
    struct epoll_event events[EVENTS];
    char answer[ROOM];
    long answered = 0, lost = 0;
    int epoll = epoll_create1(0);
    flows = calloc((size_t)count, sizeof *flows);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = flows[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
        if (flows[i] < 0 || connect(flows[i], (struct sockaddr *)&address, sizeof address) < 0) die("connect");
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, flows[i], &event) < 0) die("epoll_ctl");
    }
    double end = now() + seconds, heard = now();
    while (now() < end) {
        fill(window);
        int found = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < found; i++) {
            while (recv(events[i].data.fd, answer, sizeof answer, 0) >= 0) {
                answered++;
                waiting -= waiting > 0;
                heard = now();
            }
        }
        if (now() - heard > 1) {
            lost += waiting;
            waiting = 0;
            heard = now();
        }
    }
    printf("{\"answered\": %ld, \"lost\": %ld}\n", answered, lost);
    return 0;
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc == 3 && strcmp(argv[1], "echo") == 0) echo(atoi(argv[2]));
    if (argc != 7 || strcmp(argv[1], "load") != 0) {
        fputs("datagrams echo PORT | load PORT FLOWS SIZE WINDOW SECONDS\n", stderr);
        return 2;
    }
    count = atoi(argv[3]), size = atoi(argv[4]);
    if (count < 1 || size < 0 || size > ROOM) return 2;
    return load(atoi(argv[2]), atoi(argv[5]), atof(argv[6]));
}
