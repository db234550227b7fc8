/* An afterburn worker: reads HTTP requests from standard input, works on each for 5 ms
 * by sleeping, and answers on standard output. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	static char buf[1 << 16];
	size_t have = 0;
	for (;;) {
		char *end, *length;
		size_t whole;
		ssize_t n;
		while (!(end = memmem(buf, have, "\r\n\r\n", 4))) {
			if (have == sizeof buf || (n = read(0, buf + have, sizeof buf - have)) <= 0)
				return 0;
			have += n;
		}
		length = memmem(buf, end - buf, "\r\nContent-Length: ", 18);
		whole = end + 4 - buf + (length ? strtoul(length + 18, NULL, 10) : 0);
		while (have < whole) {
			if (whole > sizeof buf || (n = read(0, buf + have, sizeof buf - have)) <= 0)
				return 1;
			have += n;
		}
		memmove(buf, buf + whole, have -= whole);
		usleep(5000);
		if (write(1, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 43) != 43)
			return 1;
	}
}
