package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/swarm/enginetest"
)

// benchSwarm measures the gateway of a swarm whose engine is simulated: ten tasks a service, all at
// addresses of the loopback.
func benchSwarm(l *lab) error {
	for _, n := range []int{100, 1000, 10000} {
		err := compare(fmt.Sprintf("%d services of a swarm, %d tasks", n, n*tasksEach), units, candidate{"watchdogd", func() (figures, error) { return l.swarm(n) }})
		if err != nil {
			return err
		}
	}
	return nil
}

// tasksEach is how many tasks a service has.
const tasksEach = 10

// swarm measures n services: until the first and the last is routed, the memory when all tasks
// are known, the CPU while nothing is called and while a hundred functions are, and how long a
// change takes until it is routed.
func (l *lab) swarm(n int) (figures, error) {
	defer l.stopLast()
	upstream, port, err := localEcho()
	if err != nil {
		return nil, err
	}
	defer upstream.Close()
	e := enginetest.New()
	defer e.Close()
	e.PutNetwork(enginetest.Network{ID: "net1", Name: "functions", Subnet: "127.0.0.0/8"})
	for i := range n {
		putFunction(e, i, port)
	}

	began := time.Now()
	address, pid, err := l.watchdogdWith("swarm", "- {name: hello, mode: streaming, fprocess: echo hello}\ngateway: {swarm: {host: \""+e.Host()+"\"}}\n")
	if err != nil {
		return nil, err
	}
	f := figures{}
	if err := firstOf(address, 20); err != nil { // services come in no order
		return nil, err
	}
	f["first_s"] = time.Since(began).Seconds()
	for i := range 20 {
		if _, err := answers(address, i); err != nil {
			return nil, err
		}
	}
	f["routed_s"] = time.Since(began).Seconds()
	for sent := e.Sent(); ; { // the tasks of all are listed once, one batch after another
		time.Sleep(2 * time.Second)
		now := e.Sent()
		if now-sent < 3<<20 {
			break
		}
		sent = now
	}
	f["listed_s"] = time.Since(began).Seconds() - 2
	f["rss_MiB"] = residentKiB(pid) / 1024
	before, asked := cpuSeconds(pid), e.Requests()
	time.Sleep(idleTime)
	f["idle_cpu_%"] = (cpuSeconds(pid) - before) / idleTime.Seconds() * 100
	f["requests/s"] = float64(e.Requests()-asked) / idleTime.Seconds()

	if f["service_ms"], err = newService(e, address, n, port); err != nil {
		return nil, err
	}
	called := min(n, 100)
	before = cpuSeconds(pid)
	began = time.Now()
	for time.Since(began) < idleTime {
		for i := range called {
			if _, err := answers(address, i); err != nil {
				return nil, err
			}
		}
		time.Sleep(time.Second)
	}
	f["hot_cpu_%"] = (cpuSeconds(pid) - before) / time.Since(began).Seconds() * 100
	f["rss_hot"] = residentKiB(pid) / 1024
	f["task_ms"], err = movedTasks(e, address)
	return f, err
}

// newService is how long a new service takes until a call of it is answered, in milliseconds.
func newService(e *enginetest.Engine, address string, i, port int) (float64, error) {
	began := time.Now()
	putFunction(e, i, port)
	if _, err := answers(address, i); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds() * 1000, nil
}

// movedTasks is how long tasks of a function that is called take, which have other addresses,
// until calls reach them, in milliseconds.
func movedTasks(e *enginetest.Engine, address string) (float64, error) {
	const at = "127.200.0.1"
	began := time.Now()
	e.PutTasks("s0", enginetest.Task{ID: "moved", State: "running", Network: "net1", Address: at + "/8", At: began})
	for {
		text, err := answers(address, 0)
		if err != nil || text == at {
			return time.Since(began).Seconds() * 1000, err
		}
		if time.Since(began) > time.Minute {
			return 0, fmt.Errorf("calls reach %s a minute after the tasks were replaced", text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// putFunction makes service i and its tasks.
func putFunction(e *enginetest.Engine, i, port int) {
	id := "s" + strconv.Itoa(i)
	tasks := make([]enginetest.Task, tasksEach)
	for t := range tasks {
		k := i*tasksEach + t + 2
		tasks[t] = enginetest.Task{ID: fmt.Sprintf("task%020d", k), State: "running", Network: "net1", Slot: t + 1, At: time.Now(),
			Address: fmt.Sprintf("127.%d.%d.%d/8", 1+k>>16, k>>8&255, k&255)}
	}
	e.PutTasks(id, tasks...)
	e.PutService(&enginetest.Service{ID: id, Name: "f" + strconv.Itoa(i), Replicas: tasksEach, Networks: []string{"net1"}, Labels: map[string]string{
		"watchdogd.function": "true", "watchdogd.port": strconv.Itoa(port), "watchdogd.max": "20", "watchdogd.min": "1", "com.docker.stack.namespace": "functions",
	}})
}

// firstOf returns when one of the first functions answers.
func firstOf(address string, n int) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for i := range n {
			if _, err = read(fmt.Sprintf("http://%s/function/f%d", address, i)); err == nil {
				return nil
			}
		}
	}
	return err
}

// answers returns the answer of function i, which is called until it has one.
func answers(address string, i int) (text string, err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var body []byte
		if body, err = read(fmt.Sprintf("http://%s/function/f%d", address, i)); err == nil {
			return string(body), nil
		}
	}
	return "", err
}

// patience is how long a function may take until it answers.
const patience = time.Minute

// localEcho answers at every address of the loopback with that address.
func localEcho() (*http.Server, int, error) {
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return nil, 0, err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _, _ := strings.Cut(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(), ":")
		fmt.Fprint(w, at)
	})}
	go func() { _ = s.Serve(listener) }() // until Close
	return s, listener.Addr().(*net.TCPAddr).Port, nil
}
