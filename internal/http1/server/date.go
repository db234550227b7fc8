package server

import (
	"net/http"
	"sync/atomic"
	"time"
)

// now is the time as Date has it.
func now() string {
	t := time.Now()
	if d := date.Load(); d != nil && d.second == t.Unix() {
		return d.text
	}
	d := &dated{t.Unix(), t.UTC().Format(http.TimeFormat)}
	date.Store(d)
	return d.text
}

type dated struct {
	second int64
	text   string
}

// date is the last one that was needed.
var date atomic.Pointer[dated]
