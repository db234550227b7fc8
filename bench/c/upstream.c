/* The upstream of the proxy benchmarks: one thread, epoll, keep-alive, and as little
 * work as a server can do. GET /bytes/N answers N bytes; a request body is read and
 * counted by its Content-Length and dropped. Usage: upstream PORT [SOCKET]; with SOCKET it
 * listens there as well. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, CONNECTIONS = 4096 };

struct connection {
	char head[8192];
	size_t have;       /* bytes of a head so far */
	size_t body;       /* bytes of a request body still to come */
	size_t want;       /* bytes to answer once the body is read */
	size_t out;        /* bytes of a response body still to go */
	char answer[256];  /* the response's head */
	size_t answer_len, answer_off;
	int answering;
};

static struct connection connections[CONNECTIONS];
static char zeros[BUFFER];
static char sink[BUFFER];

static void answer(struct connection *c)
{
	c->answer_len = snprintf(c->answer, sizeof c->answer,
		"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n", c->want);
	c->answer_off = 0;
	c->out = c->want;
	c->answering = 1;
}

/* Sends what is due. 0: all of it; 1: the socket is full; -1: the peer is gone. */
static int send_due(int fd, struct connection *c)
{
	if (c->answer_off < c->answer_len && c->out > 0 && c->out < 4096) { /* head and body in one write */
		char both[sizeof c->answer + 4096];
		memcpy(both, c->answer, c->answer_len);
		memset(both + c->answer_len, 'x', c->out);
		ssize_t n = send(fd, both, c->answer_len + c->out, MSG_NOSIGNAL);
		if (n == (ssize_t)(c->answer_len + c->out)) {
			c->answering = 0;
			return 0;
		}
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		if ((size_t)n < c->answer_len)
			c->answer_off = n;
		else
			c->answer_off = c->answer_len, c->out -= n - c->answer_len;
	}
	while (c->answer_off < c->answer_len) {
		ssize_t n = send(fd, c->answer + c->answer_off, c->answer_len - c->answer_off, MSG_NOSIGNAL | (c->out ? MSG_MORE : 0));
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		c->answer_off += n;
	}
	while (c->out > 0) {
		ssize_t n = send(fd, zeros, c->out < BUFFER ? c->out : BUFFER, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		c->out -= n;
	}
	c->answering = 0;
	return 0;
}

/* Reads what came. -1: the peer is gone or speaks no HTTP. */
static int serve(int fd, struct connection *c)
{
	for (;;) {
		if (c->answering) {
			int due = send_due(fd, c);
			if (due)
				return due < 0 ? -1 : 0;
		}
		if (c->body > 0) {
			ssize_t n = recv(fd, sink, c->body < BUFFER ? c->body : BUFFER, 0);
			if (n <= 0)
				return n < 0 && errno == EAGAIN ? 0 : -1;
			c->body -= n;
			if (c->body == 0)
				answer(c);
			continue;
		}
		char *end = c->have ? memmem(c->head, c->have, "\r\n\r\n", 4) : NULL;
		if (!end) {
			if (c->have == sizeof c->head - 1)
				return -1;
			ssize_t n = recv(fd, c->head + c->have, sizeof c->head - 1 - c->have, 0);
			if (n <= 0)
				return n < 0 && errno == EAGAIN ? 0 : -1;
			c->have += n;
			continue;
		}
		size_t head = end + 4 - c->head;
		*end = 0;
		char *path = strstr(c->head, "/bytes/");
		c->want = path ? strtoull(path + 7, NULL, 10) : 0;
		char *length = strcasestr(c->head, "\r\ncontent-length:");
		c->body = length ? strtoull(length + 17, NULL, 10) : 0;
		size_t rest = c->have - head;
		size_t eaten = rest < c->body ? rest : c->body;
		c->body -= eaten;
		memmove(c->head, c->head + head + eaten, rest - eaten);
		c->have = rest - eaten;
		if (c->body == 0)
			answer(c);
	}
}

/* Listens on a unix socket; -1 without one. */
static int listen_at(const char *path)
{
	struct sockaddr_un u = {.sun_family = AF_UNIX};
	int fd = path ? socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0) : -1;
	if (fd < 0)
		return -1;
	snprintf(u.sun_path, sizeof u.sun_path, "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&u, sizeof u) || listen(fd, 1024)) {
		perror(path);
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 1024)) {
		perror("listen");
		return 1;
	}
	memset(zeros, 'x', sizeof zeros);
	struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, got[256];
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &e);
	int local = listen_at(argc > 2 ? argv[2] : NULL);
	if (local >= 0) {
		e.data.fd = local;
		epoll_ctl(poll, EPOLL_CTL_ADD, local, &e);
	}
	for (;;) {
		int n = epoll_wait(poll, got, 256, -1);
		for (int i = 0; i < n; i++) {
			int fd = got[i].data.fd;
			if (fd == listener || fd == local) {
				int from = fd;
				while ((fd = accept4(from, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
					if (fd >= CONNECTIONS) {
						close(fd);
						continue;
					}
					setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
					memset(&connections[fd], 0, sizeof connections[fd]);
					e.events = EPOLLIN | EPOLLOUT | EPOLLET;
					e.data.fd = fd;
					epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e);
				}
			} else if (serve(fd, &connections[fd]) < 0) {
				close(fd);
			}
		}
	}
}
