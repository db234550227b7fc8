// Package swarmtest holds watchdogd against a Docker Swarm of three real engines. It is a
// module of its own, so that make test stays quick; make swarm runs it. It needs Linux, root,
// and Debian's docker.io, iproute2 and iptables; where it cannot run, its tests are skipped
// and say why.
//
// The test binary starts itself again as the first process of a PID, a network and a mount
// namespace: the world (main_linux_test.go). A bridge stands there, and so do the tests. Each
// engine is the same once more, in namespaces of its own (engine_linux_test.go). Whatever ends
// the test, a panic, Ctrl-C or SIGKILL, ends the first process of the world, and the kernel
// then ends every engine and container, and removes every interface and mount in it. What is
// left are a temporary folder and empty cgroups; the process that started the world removes
// them, and those of an earlier run that was killed.
//
//	func TestX(t *testing.T) {
//		s := swarm(t)                             // three engines that are one Swarm
//		s.service(t, "echo", "--replicas", "3", functionImage)
//		s.running(t, "echo", 3)
//		s.engines[2].kill(t)                      // started again when the test ends
//	}
package swarmtest
