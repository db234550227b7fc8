package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Scale sets the replicas of a service to what decide returns for it as it is now; it returns
// false to leave them. Decide is asked again when the service was changed meanwhile. Nothing
// else of the service is touched, also what this client does not know of. Scaled reports
// whether something was changed.
func (c *Client) Scale(ctx context.Context, id string, decide func(*Service) (replicas uint64, change bool)) (scaled bool, err error) {
	const most = 5 // conflicts in a row
	for range most {
		var raw json.RawMessage
		if err = c.get(ctx, "/services/"+id, &raw); err != nil {
			return false, err
		}
		var s Service
		if err := json.Unmarshal(raw, &s); err != nil {
			return false, c.nonsense("/services/"+id, err)
		}
		n, change := decide(&s)
		if !change {
			return false, nil
		}
		spec, err := withReplicas(raw, n)
		if err != nil {
			return false, fmt.Errorf("scale service %s: %w", s.Spec.Name, err)
		}
		switch err = c.send(ctx, http.MethodPost, "/services/"+id+"/update", s.Version.query(), spec); {
		case err == nil:
			return true, nil
		case !IsConflict(err):
			return false, err
		}
	}
	return false, err
}

// withReplicas returns the Spec of a service as it came, but for its replicas.
func withReplicas(service json.RawMessage, n uint64) (json.RawMessage, error) {
	return edit(service, []string{"Spec"}, func(spec json.RawMessage) (json.RawMessage, error) {
		return set(spec, []string{"Mode", "Replicated", "Replicas"}, json.RawMessage(fmt.Sprint(n)))
	})
}

// edit returns what change makes of the member at path.
func edit(object json.RawMessage, path []string, change func(json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	for _, key := range path {
		members, err := membersOf(object)
		if err != nil {
			return nil, err
		}
		object = members[key]
	}
	return change(object)
}

// set returns object with another value at path; all other members are as they were.
func set(object json.RawMessage, path []string, value json.RawMessage) (json.RawMessage, error) {
	if len(path) == 0 {
		return value, nil
	}
	members, err := membersOf(object)
	if err != nil {
		return nil, err
	}
	if members[path[0]], err = set(members[path[0]], path[1:], value); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

func membersOf(object json.RawMessage) (members map[string]json.RawMessage, err error) {
	if len(bytes.TrimSpace(object)) == 0 {
		return map[string]json.RawMessage{}, nil
	}
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	if members == nil { // null
		members = map[string]json.RawMessage{}
	}
	return members, nil
}
