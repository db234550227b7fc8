// Package grpctest holds watchdogd against the client and the server of grpc-go, which
// are stricter than net/http's. It is a module of its own, so that grpc-go is no
// dependency of watchdogd; make test runs it.
package grpctest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// soonEnough is how long a test waits for what must happen.
const soonEnough = 2 * time.Minute

// asServer in the environment makes the test binary a server on $PORT.
const asServer = "WATCHDOGD_GRPC_TEST_SERVER"

var binary string // watchdogd

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = newServer().Serve(l)
		return
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "grpctest")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "watchdogd")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/watchdogd")
		build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build watchdogd: %v: %s\n", err, out)
			return 1
		}
		return m.Run()
	}())
}

// service answers as its requests ask.
type service struct {
	testpb.UnimplementedTestServiceServer
}

func newServer() *grpc.Server {
	s := grpc.NewServer()
	testpb.RegisterTestServiceServer(s, service{})
	h := health.NewServer()
	h.SetServingStatus("ill", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(s, h)
	return s
}

func (service) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if s := r.GetResponseStatus(); s != nil {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	in, _ := metadata.FromIncomingContext(ctx)
	if v := in.Get("x-test"); len(v) > 0 {
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-test", v[0]))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-test-bin", in.Get("x-test-bin")[0]))
	}
	if r.GetFillUsername() { // here: wait for the end
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if r.GetFillServerId() { // here: end the process
		os.Exit(3)
	}
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: make([]byte, r.GetResponseSize())}}, nil
}

func (service) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, s testpb.TestService_StreamingOutputCallServer) error {
	for _, p := range r.GetResponseParameters() {
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	if st := r.GetResponseStatus(); st != nil {
		return status.Error(codes.Code(st.GetCode()), st.GetMessage())
	}
	return nil
}

func (service) StreamingInputCall(s testpb.TestService_StreamingInputCallServer) error {
	n := 0
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(n)})
		}
		if err != nil {
			return err
		}
		n += len(r.GetPayload().GetBody())
	}
}

// FullDuplexCall sends each message back, until one has a status or asks for the end of
// the process.
func (service) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if st := r.GetResponseStatus(); st != nil {
			if st.GetCode() == 1000 {
				os.Exit(3)
			}
			return status.Error(codes.Code(st.GetCode()), st.GetMessage())
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
	}
}

// front runs watchdogd over a server of grpc-go and gives a client.
func front(t *testing.T) *grpc.ClientConn {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	route := func(name, path, more string) string {
		return "- {name: " + name + ", path: " + path + ", mode: http, " + more + "}\n"
	}
	process := fmt.Sprintf("fprocess: [%q], upstream: \"h2c://127.0.0.1:${PORT}\", env: {%s: \"1\"}", self, asServer)
	config := "server: {listen: \"" + address + "\"}\nroutes:\n" +
		route("test", "/grpc.testing.TestService", "strip_prefix: false, "+process) +
		route("health", "/grpc.health.v1.Health", "strip_prefix: false, "+process) +
		route("slow", "/slow", "timeouts: {exec: 300ms}, "+process) +
		route("small", "/small", "limits: {body: 1KiB}, "+process) +
		route("dead", "/dead", "fprocess: [\"false\"], upstream: \"h2c://127.0.0.1:${PORT}\", timeouts: {queue: 100ms}")
	file := filepath.Join(dir, "watchdog.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-c", file)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "XDG_RUNTIME_DIR="+dir)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// freeAddress returns an address of 127.0.0.1 whose port no one else is given until the test
// ends: a socket is bound to it that does not listen. watchdogd can listen there, which asks
// for SO_REUSEADDR.
func freeAddress(t *testing.T) string {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		t.Cleanup(func() { _ = syscall.Close(fd) }) // nothing was sent
	} else { // where it would keep watchdogd away too
		defer func() { _ = syscall.Close(fd) }()
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soonEnough)
	t.Cleanup(cancel)
	return ctx
}

// wantStatus checks the code of err and that its message has some words.
func wantStatus(t *testing.T, what string, err error, code codes.Code, words string) {
	t.Helper()
	if s := status.Convert(err); s.Code() != code || !strings.Contains(s.Message(), words) {
		t.Errorf("%s: got %v %q, want %v and %q", what, s.Code(), s.Message(), code, words)
	}
}

func TestUnaryCallsAndTheirErrors(t *testing.T) {
	client, ctx := testpb.NewTestServiceClient(front(t)), bounded(t)
	for _, size := range []int32{0, 1, 1 << 20} {
		r, err := client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: size, Payload: &testpb.Payload{Body: make([]byte, size)}})
		if err != nil || len(r.GetPayload().GetBody()) != int(size) {
			t.Errorf("got %d bytes and %v, want %d", len(r.GetPayload().GetBody()), err, size)
		}
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		words := "it is " + code.String() + ", 100 % \u00fc\n"
		_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(code), Message: words}})
		wantStatus(t, "UnaryCall", err, code, words)
	}
	_, err := client.UnimplementedCall(ctx, &testpb.Empty{})
	wantStatus(t, "UnimplementedCall", err, codes.Unimplemented, "UnimplementedCall")
}

func TestStreamsBothWays(t *testing.T) {
	client, ctx := testpb.NewTestServiceClient(front(t)), bounded(t)

	out, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{
		ResponseParameters: []*testpb.ResponseParameters{{Size: 1}, {Size: 100000}, {Size: 3}},
		ResponseStatus:     &testpb.EchoStatus{Code: int32(codes.DataLoss), Message: "at the end"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 100000, 3} {
		if m, err := out.Recv(); err != nil || len(m.GetPayload().GetBody()) != size {
			t.Errorf("got %d bytes and %v, want %d", len(m.GetPayload().GetBody()), err, size)
		}
	}
	_, err = out.Recv()
	wantStatus(t, "StreamingOutputCall", err, codes.DataLoss, "at the end")

	none, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.NotFound), Message: "nothing"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = none.Recv()
	wantStatus(t, "StreamingOutputCall without a message", err, codes.NotFound, "nothing")

	in, err := client.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := in.Send(&testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 30000)}}); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := in.CloseAndRecv(); err != nil || sum.GetAggregatedPayloadSize() != 300000 {
		t.Errorf("got %d and %v, want 300000", sum.GetAggregatedPayloadSize(), err)
	}

	both, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		want := strconv.Itoa(n)
		if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte(want)}}); err != nil {
			t.Fatal(err)
		}
		if m, err := both.Recv(); err != nil || string(m.GetPayload().GetBody()) != want {
			t.Fatalf("got %q and %v, want %q", m.GetPayload().GetBody(), err, want)
		}
	}
	_ = both.CloseSend()
	if _, err := both.Recv(); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

func TestMetadataPassesBothWays(t *testing.T) {
	client, ctx := testpb.NewTestServiceClient(front(t)), bounded(t)
	ctx = metadata.AppendToOutgoingContext(ctx, "x-test", "head", "x-test-bin", "\x00\xff")
	var head, trailer metadata.MD
	if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&head), grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q %q", head.Get("x-test"), trailer.Get("x-test-bin")); got != `["head"] ["\x00\xff"]` {
		t.Errorf("got %s, want the metadata that was sent", got)
	}
}

func TestDeadlinesAndCancels(t *testing.T) {
	client, ctx := testpb.NewTestServiceClient(front(t)), bounded(t)
	if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := client.UnaryCall(short, &testpb.SimpleRequest{FillUsername: true})
	wantStatus(t, "a call with a deadline", err, codes.DeadlineExceeded, "")

	left, leave := context.WithCancel(ctx)
	both, err := client.FullDuplexCall(left)
	if err != nil {
		t.Fatal(err)
	}
	_ = both.Send(&testpb.StreamingOutputCallRequest{})
	if _, err := both.Recv(); err != nil {
		t.Fatal(err)
	}
	leave()
	_, err = both.Recv()
	wantStatus(t, "a call that was left", err, codes.Canceled, "")
}

func TestHealth(t *testing.T) {
	client, ctx := healthpb.NewHealthClient(front(t)), bounded(t)
	for service, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{
		"": healthpb.HealthCheckResponse_SERVING, "ill": healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		if r, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service}); err != nil || r.GetStatus() != want {
			t.Errorf("%q: got %v and %v, want %v", service, r.GetStatus(), err, want)
		}
	}
	_, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "none"})
	wantStatus(t, "a service that is not known", err, codes.NotFound, "unknown service")
}

func TestOurOwnErrorsHaveAStatus(t *testing.T) {
	conn, ctx := front(t), bounded(t)
	call := func(method string, r *testpb.SimpleRequest) error {
		return conn.Invoke(ctx, method, r, &testpb.SimpleResponse{})
	}
	const unary = "/grpc.testing.TestService/UnaryCall"
	wantStatus(t, "no route", call("/none/Call", &testpb.SimpleRequest{}), codes.Unimplemented, "route")
	wantStatus(t, "a process that does not run", call("/dead"+unary, &testpb.SimpleRequest{}), codes.Unavailable, "dead")
	wantStatus(t, "timeouts.exec", call("/slow"+unary, &testpb.SimpleRequest{FillUsername: true}), codes.DeadlineExceeded, "timeouts.exec")
	wantStatus(t, "limits.body", call("/small"+unary, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 10000)}}), codes.ResourceExhausted, "limits.body")
	wantStatus(t, "a process that ends", call(unary, &testpb.SimpleRequest{FillServerId: true}), codes.Unavailable, "the process ended during this call: exit status 3")
}

func TestAStreamThatWeEndHasAStatus(t *testing.T) {
	conn, ctx := front(t), bounded(t)
	for prefix, want := range map[string]struct {
		message *testpb.StreamingOutputCallRequest // ends the stream; nil where time does
		code    codes.Code
		words   string
	}{
		"/slow": {nil, codes.DeadlineExceeded, "timeouts.exec"},
		"":      {&testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: 1000}}, codes.Unavailable, "exit status 3"},
	} {
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, prefix+"/grpc.testing.TestService/FullDuplexCall")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SendMsg(&testpb.StreamingOutputCallRequest{}); err != nil && err != io.EOF { // RecvMsg returns why it ended
			t.Fatal(err)
		}
		if err := s.RecvMsg(&testpb.StreamingOutputCallResponse{}); err != nil {
			if prefix == "/slow" && status.Code(err) == want.code {
				continue // so slow was its start
			}
			t.Fatal(err)
		}
		if want.message != nil {
			_ = s.SendMsg(want.message)
		}
		wantStatus(t, prefix+" FullDuplexCall", s.RecvMsg(&testpb.StreamingOutputCallResponse{}), want.code, want.words)
	}
}
