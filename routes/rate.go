package routes

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/watchdogd/watchdogd/schema"
)

// rateLimit is a token bucket: so many calls a second, and a burst of them at
// once. A nil rateLimit lets everything through.
type rateLimit struct{ bucket *rate.Limiter }

func newRateLimit(r schema.Rate) *rateLimit {
	if r.PerSecond <= 0 {
		return nil
	}
	return &rateLimit{rate.NewLimiter(rate.Limit(r.PerSecond), burst(r))}
}

// burst is as written, else the calls of one second.
func burst(r schema.Rate) int {
	if r.Burst > 0 {
		return r.Burst
	}
	return max(1, int(math.Ceil(r.PerSecond)))
}

// take takes a token, or says after how long there will be one.
func (l *rateLimit) take() (wait time.Duration, ok bool) {
	if l == nil || l.bucket.Allow() {
		return 0, true
	}
	missing := 1 - l.bucket.Tokens()
	return time.Duration(max(0, missing) / float64(l.bucket.Limit()) * float64(time.Second)), false
}

// adopt goes on where old stands, so that a reload does not fill the bucket.
func (l *rateLimit) adopt(old *rateLimit) {
	if l == nil || old == nil {
		return
	}
	limit, most := l.bucket.Limit(), l.bucket.Burst()
	l.bucket = old.bucket
	l.bucket.SetLimit(limit)
	l.bucket.SetBurst(most)
}
