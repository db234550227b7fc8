package history

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// writeBound is how long a client may take to read what was sent to it.
const writeBound = 10 * time.Second

// Events returns what answers with Server-Sent Events: a Full first, then a Change each second
// and within 250 ms of a change of state. A client that does not read is dropped, and one
// that would be one of more than most is refused; of all together there are at most MostFollowers.
func (r *Recorder) Events(most int) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) { r.serveEvents(w, request, most) }
}

func (r *Recorder) serveEvents(w http.ResponseWriter, request *http.Request, most int) {
	f, first, err := r.join(time.Now(), most)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	defer r.leave(f)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	send := func(e []byte) error {
		_ = control.SetWriteDeadline(time.Now().Add(writeBound)) // not every connection has one
		if _, err := w.Write(e); err != nil {
			return err
		}
		return control.Flush()
	}
	if send([]byte("retry: 1000\n\n")) != nil || send(first) != nil {
		return // the client has gone
	}
	first = nil // which is long with many names
	for {
		select {
		case e, more := <-f.events:
			if !more || send(e) != nil {
				return
			}
		case <-request.Context().Done():
			return
		}
	}
}

// History is what is kept.
type History struct {
	Step   float64  `json:"step"` // seconds between two rows
	Series []Series `json:"series"`
}

// ServeHistory answers with a History: of the names that the query has as name (an empty one is
// all together), or of all; with last=N only the last rows.
func (r *Recorder) ServeHistory(w http.ResponseWriter, request *http.Request) {
	query := request.URL.Query()
	last := 0
	if asked := query.Get("last"); asked != "" {
		var err error
		if last, err = schema.ParseCount(asked, 1, int(Kept/Step)); err != nil {
			refuse(w, http.StatusBadRequest, errors.New("last "+err.Error()))
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeBound)) // not every connection has one
	_ = json.NewEncoder(w).Encode(r.of(query["name"], last))                       // the client has gone
}

func (r *Recorder) of(names []string, last int) History {
	r.mu.Lock()
	defer r.mu.Unlock()
	step := r.store.step
	if step == 0 {
		step = Step // nothing is kept yet
	}
	return History{Step: step.Seconds(), Series: r.store.of(names, last)}
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // as in ServeHistory
}
