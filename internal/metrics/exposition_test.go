package metrics

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exposition is Prometheus's text format, version 0.0.4, read strictly: what a
// lenient reader would pass over is an error.
type exposition struct {
	kinds   map[string]string  // of families
	samples map[string]float64 // by name{labels}, labels sorted
}

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	oneLabel   = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)`)
)

func parse(text string) (*exposition, error) {
	e := &exposition{kinds: map[string]string{}, samples: map[string]float64{}}
	if !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("the last line has no end")
	}
	family, helped := "", map[string]bool{}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if err := e.line(line, &family, helped); err != nil {
			return nil, fmt.Errorf("line %d, %q: %w", i+1, line, err)
		}
	}
	return e, e.histograms()
}

func (e *exposition) line(line string, family *string, helped map[string]bool) error {
	switch fields := strings.SplitN(line, " ", 4); {
	case strings.HasPrefix(line, "# HELP "):
		if len(fields) != 4 || fields[3] == "" || helped[fields[2]] {
			return fmt.Errorf("no help, or a second one")
		}
		helped[fields[2]] = true
		*family = fields[2]
		return nil
	case strings.HasPrefix(line, "# TYPE "):
		if len(fields) != 4 || fields[2] != *family || e.kinds[fields[2]] != "" || !metricName.MatchString(fields[2]) {
			return fmt.Errorf("a type that does not follow its help, or a second one")
		}
		if !slices.Contains([]string{"counter", "gauge", "histogram", "summary"}, fields[3]) {
			return fmt.Errorf("no such type")
		}
		if fields[3] == "counter" && !strings.HasSuffix(fields[2], "_total") {
			return fmt.Errorf("a counter's name ends in _total")
		}
		e.kinds[fields[2]] = fields[3]
		return nil
	}
	at := strings.LastIndexByte(line, ' ')
	if at < 0 {
		return fmt.Errorf("no value")
	}
	series, number := line[:at], line[at+1:]
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return err
	}
	name, labels, braces := strings.Cut(series, "{")
	if braces {
		if !strings.HasSuffix(labels, "}") || labels == "}" {
			return fmt.Errorf("labels without end, or none in braces")
		}
		labels = labels[:len(labels)-1]
	}
	if !metricName.MatchString(name) {
		return fmt.Errorf("no name")
	}
	base, kind := name, e.kinds[*family]
	if kind == "histogram" || kind == "summary" {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
	}
	if base != *family || kind == "" || kind == "histogram" && base == name {
		return fmt.Errorf("stands in the family %q", *family)
	}
	if kind != "gauge" && (value < 0 || math.IsNaN(value)) {
		return fmt.Errorf("a count below 0")
	}
	var all []string
	for labels != "" {
		m := oneLabel.FindStringSubmatch(labels)
		if m == nil || m[3] == "," && len(m[0]) == len(labels) {
			return fmt.Errorf("labels: %s", labels)
		}
		if slices.ContainsFunc(all, func(l string) bool { return strings.HasPrefix(l, m[1]+"=") }) {
			return fmt.Errorf("the label %s twice", m[1])
		}
		all = append(all, m[1]+"="+strconv.Quote(m[2]))
		labels = labels[len(m[0]):]
	}
	slices.Sort(all)
	key := name + "{" + strings.Join(all, ",") + "}"
	if _, twice := e.samples[key]; twice {
		return fmt.Errorf("the series stands twice")
	}
	e.samples[key] = value
	return nil
}

// histograms checks that each has buckets that grow up to +Inf, which is its count, and a sum.
func (e *exposition) histograms() error {
	const le = "le=\""
	type bucket struct{ most, n float64 }
	all := map[string][]bucket{}
	for key, value := range e.samples {
		i := strings.Index(key, le)
		if i < 0 || !strings.Contains(key, "_bucket{") {
			continue
		}
		bound, _, _ := strings.Cut(key[i+len(le):], `"`)
		most, err := strconv.ParseFloat(bound, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		rest := key[:i] + strings.TrimPrefix(key[i+len(le)+len(bound)+1:], ",")
		rest = strings.Replace(rest, ",}", "}", 1)
		all[rest] = append(all[rest], bucket{most, value})
	}
	for key, buckets := range all {
		slices.SortFunc(buckets, func(a, b bucket) int { return int(math.Copysign(1, a.most-b.most)) })
		last := buckets[len(buckets)-1]
		for i := 1; i < len(buckets); i++ {
			if buckets[i].n < buckets[i-1].n {
				return fmt.Errorf("%s: the buckets shrink", key)
			}
		}
		count, counted := e.samples[strings.Replace(key, "_bucket{", "_count{", 1)]
		_, summed := e.samples[strings.Replace(key, "_bucket{", "_sum{", 1)]
		if !math.IsInf(last.most, 1) || !counted || !summed || count != last.n {
			return fmt.Errorf("%s: no +Inf, count or sum, or another count", key)
		}
	}
	return nil
}

func TestTheCheckerFindsWhatIsWrong(t *testing.T) {
	const head = "# HELP a_total x\n# TYPE a_total counter\n"
	const histogram = "# HELP h x\n# TYPE h histogram\n"
	for _, text := range []string{
		"",
		head + "a_total 1",
		"a_total 1\n",
		head + "b_total 1\n",
		head + "a_total 1\na_total 2\n",
		head + "a_total{x=\"1\",y=\"2\"} 1\na_total{y=\"2\",x=\"1\"} 2\n",
		head + "a_total{} 1\n",
		head + "a_total{x=1} 1\n",
		head + "a_total{x=\"1\",} 1\n",
		head + "a_total{x=\"a\\x00\"} 1\n",
		head + "a_total one\n",
		head + "a_total -1\n",
		head + head,
		"# TYPE a_total counter\n",
		"# HELP a x\n# TYPE a counter\n",
		histogram + "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
		histogram + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
		histogram + "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
		histogram + "h 1\n",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("passed: got %q (%v), want an error", text, err)
		}
	}
	if _, err := parse(head + "a_total{x=\"1\\\"\",y=\"\"} 1\na_total 2e+07\n" + histogram + "h_bucket{le=\"1\",x=\"y\"} 1\nh_bucket{le=\"+Inf\",x=\"y\"} 2\nh_sum{x=\"y\"} 1\nh_count{x=\"y\"} 2\n"); err != nil {
		t.Error(err)
	}
}
