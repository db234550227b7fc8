// Package engine asks the API of a Docker Engine for what a gateway of functions needs: the
// services of a swarm, their tasks, its networks, what changes, and a new number of replicas.
//
//	c, err := engine.New("", os.LookupEnv)           // $DOCKER_HOST, else the socket
//	err = c.Services(ctx, engine.Filter{"label": {"watchdogd.function"}}, func(s *engine.Service) { ... })
//	err = c.Events(ctx, filter, opened, func(e *engine.Event) { ... }) // until ctx ends or the stream breaks
//	_, err = c.Scale(ctx, id, func(s *engine.Service) (uint64, bool) { return 3, true })
//
// Lists are decoded as they arrive, and only the fields that are needed, so that the tasks
// of a large swarm never stand in memory as a whole. github.com/moby/moby/client would add
// 0.8 ms and its OpenTelemetry to each start of the program; the module dockertest holds
// this client against it.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// newest and oldest are the versions of the API that this client speaks. 1.41 (Docker
	// 20.10) was the first with the number of running tasks in the list of services.
	newest = "1.47"
	oldest = "1.41"
	// answerBound is how long the engine may take until it begins to answer.
	answerBound = 30 * time.Second
	// mostError is how much of an error's body is read.
	mostError = 4 << 10
)

// Client speaks to one engine. It is safe for use by many goroutines.
type Client struct {
	host host
	http *http.Client

	mu      sync.Mutex
	version string // of the API, agreed upon; empty is not yet
	fixed   bool   // the version is $DOCKER_API_VERSION
}

// New returns a client of the engine at host; empty is $DOCKER_HOST, else the socket
// /var/run/docker.sock. TLS is as $DOCKER_TLS_VERIFY and $DOCKER_CERT_PATH say. It connects to
// nothing.
func New(written string, env func(string) (string, bool)) (*Client, error) {
	h, err := parseHost(written, env)
	if err != nil {
		return nil, err
	}
	c := &Client{host: h, http: &http.Client{Transport: h.transport()}}
	if v, _ := env("DOCKER_API_VERSION"); v != "" {
		c.version, c.fixed = v, true
	}
	return c, nil
}

// Host is where the engine is, for people.
func (c *Client) Host() string { return c.host.String() }

// Close closes the connections that nothing uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Filter says what a list holds: of each key, one of the values.
type Filter map[string][]string

// Services calls each for every service that matches.
func (c *Client) Services(ctx context.Context, f Filter, each func(*Service)) error {
	return list(ctx, c, "/services", f.query(url.Values{"status": {"true"}}), each)
}

// Tasks calls each for every task that matches.
func (c *Client) Tasks(ctx context.Context, f Filter, each func(*Task)) error {
	return list(ctx, c, "/tasks", f.query(nil), each)
}

// Networks calls each for every network that matches.
func (c *Client) Networks(ctx context.Context, f Filter, each func(*Network)) error {
	return list(ctx, c, "/networks", f.query(nil), each)
}

// Configs calls each for every config that matches.
func (c *Client) Configs(ctx context.Context, f Filter, each func(*Config)) error {
	return list(ctx, c, "/configs", f.query(nil), each)
}

// CreateConfig makes a config. An error for which IsConflict is true is that the name is taken.
func (c *Client) CreateConfig(ctx context.Context, name string, labels map[string]string) error {
	body := configSpec{Name: name, Labels: labels, Data: []byte("watchdogd\n")}
	return c.send(ctx, http.MethodPost, "/configs/create", nil, body)
}

// UpdateConfig sets the labels of a config, if it is still as it was read; else IsConflict
// is true for the error.
func (c *Client) UpdateConfig(ctx context.Context, was *Config, labels map[string]string) error {
	body := configSpec{Name: was.Spec.Name, Labels: labels, Data: was.Spec.Data}
	return c.send(ctx, http.MethodPost, "/configs/"+was.ID+"/update", was.Version.query(), body)
}

// RemoveConfig removes a config. One that is gone is no error.
func (c *Client) RemoveConfig(ctx context.Context, id string) error {
	err := c.send(ctx, http.MethodDelete, "/configs/"+id, nil, nil)
	if refused, ok := errors.AsType[*Error](err); ok && refused.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// Events calls opened when the stream has begun, and then each for every event, until ctx
// ends or the stream breaks, which is an error.
func (c *Client) Events(ctx context.Context, f Filter, opened func(), each func(*Event)) error {
	response, err := c.do(ctx, http.MethodGet, "/events", f.query(nil), nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	opened()
	d := json.NewDecoder(response.Body)
	for {
		var e Event
		if err := d.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("the engine at %s ended the stream of its events", c.Host())
			}
			return fmt.Errorf("read the events of the engine at %s: %w", c.Host(), c.explained(err))
		}
		each(&e)
	}
}

// list decodes the answer, which is a list, one element after another.
func list[T any](ctx context.Context, c *Client, path string, q url.Values, each func(*T)) error {
	response, err := c.do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	d := json.NewDecoder(response.Body)
	if _, err := d.Token(); err != nil { // [ or null
		return c.nonsense(path, err)
	}
	for d.More() {
		one := new(T)
		if err := d.Decode(one); err != nil {
			return c.nonsense(path, err)
		}
		each(one)
	}
	return nil
}

func (c *Client) nonsense(path string, err error) error {
	return fmt.Errorf("the engine at %s: read the answer to GET %s: %w", c.Host(), path, c.explained(err))
}

// get decodes the answer into v.
func (c *Client) get(ctx context.Context, path string, v any) error {
	response, err := c.do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	if err := json.NewDecoder(response.Body).Decode(v); err != nil {
		return c.nonsense(path, err)
	}
	return nil
}

// send sends v and reads no answer.
func (c *Client) send(ctx context.Context, method, path string, q url.Values, v any) error {
	var body []byte
	if v != nil {
		var err error
		if body, err = json.Marshal(v); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	response, err := c.do(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, mostError)) // so that the connection can be used again
	return response.Body.Close()
}

// do sends a request in the agreed version of the API, and returns an answer of success. Its
// body is ended by the end of ctx.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body []byte) (*http.Response, error) {
	version, err := c.agree(ctx)
	if err != nil {
		return nil, err
	}
	return c.roundTrip(ctx, method, "/v"+version+path, q, body)
}

func (c *Client) roundTrip(ctx context.Context, method, path string, q url.Values, body []byte) (*http.Response, error) {
	to := c.host.base() + path
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the engine at %s: %w", c.Host(), err)
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, c.unreachable(err)
	}
	if response.StatusCode >= 400 {
		defer func() { _ = response.Body.Close() }() // it was only read
		return nil, refusalOf(response)
	}
	return response, nil
}

// agree asks the engine for its version of the API, once until forget.
func (c *Client) agree(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version != "" {
		return c.version, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	response, err := c.roundTrip(ctx, http.MethodGet, "/_ping", nil, nil)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close() // it was not read
	theirs := response.Header.Get("Api-Version")
	switch {
	case theirs == "":
		return "", fmt.Errorf("the server at %s is not a Docker Engine: its answer to GET /_ping has no Api-Version", c.Host())
	case older(theirs, oldest):
		return "", fmt.Errorf("the engine at %s speaks version %s of the API, and %s is the oldest that watchdogd uses: update Docker to 20.10 or later", c.Host(), theirs, oldest)
	}
	c.version = newest
	if older(theirs, newest) {
		c.version = theirs
	}
	return c.version, nil
}

// Forget has the version of the API be agreed upon anew: the engine may be another one.
func (c *Client) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fixed {
		c.version = ""
	}
}

// older reports whether version a is before b.
func older(a, b string) bool {
	x, y := versionOf(a), versionOf(b)
	return x[0] < y[0] || x[0] == y[0] && x[1] < y[1]
}

func versionOf(s string) (v [2]int) {
	major, minor, _ := strings.Cut(s, ".")
	v[0], _ = strconv.Atoi(major) // 0 is older than all
	v[1], _ = strconv.Atoi(minor)
	return v
}

// query adds the filter to q.
func (f Filter) query(q url.Values) url.Values {
	if q == nil {
		q = url.Values{}
	}
	if len(f) > 0 {
		sets := make(map[string]map[string]bool, len(f))
		for key, values := range f {
			sets[key] = make(map[string]bool, len(values))
			for _, v := range values {
				sets[key][v] = true
			}
		}
		text, _ := json.Marshal(sets) // maps of strings: it cannot fail
		q.Set("filters", string(text))
	}
	return q
}
