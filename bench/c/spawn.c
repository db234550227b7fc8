/* The floor of the fork benchmark: how many times a second this machine can start
 * /bin/cat with pipes, feed it and read it, by posix_spawn from N threads, with no
 * HTTP at all. Usage: spawn THREADS SECONDS; prints starts per second. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static volatile int stop;

static void *loop(void *count)
{
	long *n = count;
	while (!stop) {
		int in[2], out[2], status;
		char buf[4096];
		pid_t pid;
		posix_spawn_file_actions_t a;
		char *argv[] = {"cat", NULL};
		if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
			exit(1);
		posix_spawn_file_actions_init(&a);
		posix_spawn_file_actions_adddup2(&a, in[0], 0);
		posix_spawn_file_actions_adddup2(&a, out[1], 1);
		if (posix_spawn(&pid, "/bin/cat", &a, NULL, argv, environ))
			exit(1);
		posix_spawn_file_actions_destroy(&a);
		close(in[0]);
		close(out[1]);
		if (write(in[1], "hello", 5) != 5)
			exit(1);
		close(in[1]);
		while (read(out[0], buf, sizeof buf) > 0)
			;
		close(out[0]);
		waitpid(pid, &status, 0);
		++*n;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 4;
	double seconds = argc > 2 ? atof(argv[2]) : 2;
	pthread_t t[64];
	long counts[64][8] = {{0}}, total = 0; /* a cache line each */
	for (int i = 0; i < threads && i < 64; i++)
		pthread_create(&t[i], NULL, loop, counts[i]);
	usleep(seconds * 1e6);
	stop = 1;
	for (int i = 0; i < threads && i < 64; i++) {
		pthread_join(t[i], NULL);
		total += counts[i][0];
	}
	printf("%f\n", total / seconds);
	return 0;
}
