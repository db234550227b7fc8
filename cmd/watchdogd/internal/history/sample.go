package history

import "math"

// Sample is what a route or service did for a while, as a mean of that time, and how it stood
// at the end of it.
type Sample struct {
	Rate      float64 `json:"rate"`   // calls that ended, a second
	Errors    float64 `json:"errors"` // of these, those with a status of 500 or more
	P50       float64 `json:"p50"`    // seconds that a call took; 0 without calls
	P95       float64 `json:"p95"`
	P99       float64 `json:"p99"`
	Inflight  int     `json:"inflight"`  // calls that are being answered
	Queued    int     `json:"queued"`    // calls that wait
	Instances int     `json:"instances"` // that run
	CPU       float64 `json:"cpu"`       // cores
	RSS       int64   `json:"rss_bytes"`
}

// row is a Sample in 24 bytes.
type row struct {
	rate, errors        float32
	p50, p95, p99       uint16 // logarithms of microseconds
	rss                 uint16 // logarithm of KiB
	inflight, queued    uint16 // not more than fits
	instances, hundreds uint16 // hundreds: of a core
}

func (s Sample) row() row {
	return row{
		rate: float32(s.Rate), errors: float32(s.Errors),
		p50: logOf(s.P50 * 1e6), p95: logOf(s.P95 * 1e6), p99: logOf(s.P99 * 1e6), rss: logOf(float64(s.RSS) / 1024),
		inflight: small(float64(s.Inflight)), queued: small(float64(s.Queued)),
		instances: small(float64(s.Instances)), hundreds: small(s.CPU * 100),
	}
}

func (r row) sample() Sample {
	return Sample{
		Rate: short(float64(r.rate)), Errors: short(float64(r.errors)),
		P50: short(ofLog(r.p50) / 1e6), P95: short(ofLog(r.p95) / 1e6), P99: short(ofLog(r.p99) / 1e6), RSS: int64(ofLog(r.rss)) * 1024,
		Inflight: int(r.inflight), Queued: int(r.queued), Instances: int(r.instances), CPU: float64(r.hundreds) / 100,
	}
}

// with is the row of two that follow each other: rates are their mean, all else is the worse.
func (r row) with(next row) row {
	return row{
		rate: (r.rate + next.rate) / 2, errors: (r.errors + next.errors) / 2,
		p50: max(r.p50, next.p50), p95: max(r.p95, next.p95), p99: max(r.p99, next.p99), rss: max(r.rss, next.rss),
		inflight: max(r.inflight, next.inflight), queued: max(r.queued, next.queued),
		instances: next.instances, hundreds: max(r.hundreds, next.hundreds),
	}
}

// perOctave is how finely a logarithm is kept: to 0.02 %, up to 2^32.
const perOctave = 2048

func logOf(v float64) uint16 { return small(math.Log2(1+max(v, 0)) * perOctave) }
func ofLog(n uint16) float64 { return math.Exp2(float64(n)/perOctave) - 1 }
func small(v float64) uint16 { return uint16(min(max(math.Round(v), 0), math.MaxUint16)) }

// short is v with three significant digits, so that it is short in JSON.
func short(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*unit) / unit
}
