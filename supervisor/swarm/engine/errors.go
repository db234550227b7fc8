package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Error is a refusal of the engine.
type Error struct {
	Status  int
	Message string // of the engine
}

// Error is the engine's own sentence, and what to do about those that are known.
func (e *Error) Error() string {
	if strings.Contains(e.Message, "not a swarm manager") {
		return "the engine is not a manager of a swarm: give gateway.swarm.host the address of a manager, or constrain the gateway to managers (node.role == manager)"
	}
	if e.Message == "" {
		return fmt.Sprintf("the engine answered %d", e.Status)
	}
	return e.Message
}

// IsConflict reports whether an object was changed since it was read, or made by another.
func IsConflict(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && (refused.Status == http.StatusConflict || strings.Contains(refused.Message, "out of sequence"))
}

// IsNotFound reports whether an object does not exist.
func IsNotFound(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Status == http.StatusNotFound
}

// refusalOf returns the error of an answer.
func refusalOf(response *http.Response) error {
	e := &Error{Status: response.StatusCode}
	body, _ := io.ReadAll(io.LimitReader(response.Body, mostError)) // what there is
	var said struct{ Message string }
	text := strings.TrimSpace(string(body))
	switch {
	case json.Unmarshal(body, &said) == nil:
		text = strings.Join(strings.Fields(said.Message), " ") // it is part of a sentence
		e.Message = strings.TrimPrefix(text, "rpc error: code = Unknown desc = ")
	case text != "" && !strings.ContainsAny(text, "<\n"):
		e.Message = text
	default: // a page of another server
		e.Message = fmt.Sprintf("the answer to %s %s was %s, and not one of a Docker Engine: check the address, and what a proxy in front of the engine allows",
			response.Request.Method, response.Request.URL.Path, response.Status)
	}
	return e
}

// unreachable is the sentence for an engine that gives no answer.
func (c *Client) unreachable(err error) error {
	cause := c.explained(err)
	switch {
	case c.host.network == "unix" && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the Docker Engine's socket %s does not exist: start Docker, mount the socket into the container, or set gateway.swarm.host", c.host.address)
	case c.host.network == "unix" && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to use the Docker Engine's socket %s: run watchdogd as root or in the group of the socket (docker)", c.host.address)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("the Docker Engine at %s refuses connections: is it running?", c.Host())
	case isTimeout(err):
		return fmt.Errorf("the Docker Engine at %s does not answer", c.Host())
	}
	return fmt.Errorf("the Docker Engine at %s cannot be reached: %w", c.Host(), cause)
}

// explained is err without the method and the URL that net/http puts before it.
func (c *Client) explained(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
