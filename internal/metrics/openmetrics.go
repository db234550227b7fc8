package metrics

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// The two forms of an exposition, as Content-Type.
const (
	textFormat = "text/plain; version=0.0.4; charset=utf-8"
	openFormat = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// wantsOpen reports whether an Accept header prefers OpenMetrics to the text format.
func wantsOpen(accept []string) bool {
	open, text := 0.0, 0.0
	for _, item := range strings.Split(strings.Join(accept, ","), ",") {
		kind, parameters, _ := strings.Cut(item, ";")
		q, version := 1.0, ""
		for _, p := range strings.Split(parameters, ";") {
			switch key, value, _ := strings.Cut(strings.TrimSpace(p), "="); key {
			case "q":
				if q, _ = strconv.ParseFloat(value, 64); q < 0 || q > 1 {
					q = 0 // not a quality
				}
			case "version":
				version = value
			}
		}
		switch kind = strings.ToLower(strings.TrimSpace(kind)); {
		case kind == "application/openmetrics-text" && (version == "" || version == "1.0.0" || version == "0.0.1"):
			open = max(open, q)
		case kind == "text/plain" && (version == "" || version == "0.0.4"):
			text = max(text, q)
		}
	}
	return open > 0 && open >= text
}

// floatBound writes the whole number that bounds a bucket with a point, as OpenMetrics does.
func floatBound(line string) string {
	const key = `le="`
	begin := strings.Index(line, key) + len(key)
	length := strings.IndexByte(line[begin:], '"')
	if strings.Trim(line[begin:begin+length], "0123456789") != "" {
		return line
	}
	return line[:begin+length] + ".0" + line[begin+length:]
}

// writeOpen writes the text format of text as OpenMetrics: a counter's family has no _total,
// bounds of buckets are floating-point numbers, and the end is marked. A counter whose
// family would then have the name of another, as go_memstats_alloc_bytes_total has, is of
// unknown type, which may have any name.
func writeOpen(out io.Writer, text io.Reader) error {
	w := bufio.NewWriter(out)
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	families := map[string]bool{}
	help := "" // of the family that begins: its name depends on the next line
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "# HELP "):
			help = line[len("# HELP "):]
			continue
		case strings.HasPrefix(line, "# TYPE "):
			name, kind, _ := strings.Cut(line[len("# TYPE "):], " ")
			_, help, _ = strings.Cut(help, " ")
			if short, total := strings.CutSuffix(name, "_total"); kind == "counter" && total {
				if kind = "unknown"; !families[short] {
					name, kind = short, "counter"
				}
			}
			families[name] = true
			line = "# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind
		case strings.Contains(line, `le="`):
			line = floatBound(line)
		}
		_, _ = w.WriteString(line) // Flush reports it
		_ = w.WriteByte('\n')
	}
	_, _ = w.WriteString("# EOF\n")
	return w.Flush()
}
