package top

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/supervisor"
)

// Order is what the rows are sorted by.
type Order int

// The orders, as the key for it steps through them.
const (
	InFile Order = iota // of the configuration
	ByName
	ByState
	ByRate
	ByP95
	ByErrors
	ByCPU
	ByMemory
	orders
)

func (o Order) String() string {
	return [orders]string{"file", "name", "state", "calls", "p95", "errors", "CPU", "memory"}[o]
}

// sorted returns rows in an order: what there is most of comes first, and what is the same
// stays in the order of the file.
func sorted(rows []Figures, by Order) []Figures {
	all := slices.Clone(rows)
	slices.SortStableFunc(all, func(a, b Figures) int {
		switch by {
		case ByName:
			return strings.Compare(a.Name, b.Name)
		case ByState:
			return cmp.Compare(health(a.State), health(b.State))
		case ByRate:
			return cmp.Compare(b.Rate, a.Rate)
		case ByP95:
			return cmp.Compare(b.P95, a.P95)
		case ByErrors:
			return cmp.Compare(b.ErrorRate, a.ErrorRate)
		case ByCPU:
			return cmp.Compare(b.CPU, a.CPU)
		case ByMemory:
			return cmp.Compare(b.RSS, a.RSS)
		}
		return 0
	})
	return all
}

// health orders the states: what is wrong comes first.
func health(s supervisor.State) int {
	switch stateTone(s) {
	case terminal.Bad:
		return 0
	case terminal.Warn:
		return 1
	case terminal.Good:
		return 2
	}
	return 3
}

func stateTone(s supervisor.State) terminal.Tone {
	switch s {
	case supervisor.Ready:
		return terminal.Good
	case supervisor.Idle, supervisor.Stopped:
		return terminal.Faint
	case supervisor.CrashLoop, supervisor.Backoff, supervisor.Unready, supervisor.Exited:
		return terminal.Bad
	}
	return terminal.Warn
}

// wrong reports whether a row is not as it was meant to be.
func (f *Figures) wrong() bool { return stateTone(f.State) == terminal.Bad }

// column is one of the table.
type column struct {
	title string
	width int
	rank  int // of the columns that do not fit, those of the highest ranks are left out
	left  bool
	by    Order // of a click on its title
	text  func(*Figures) string
	tone  func(*Figures) terminal.Tone // nil is Normal
}

// The columns whose width depends on the screen.
const (
	nameTitle  = "NAME"
	trendTitle = "TREND"
	leastName  = 8
	mostName   = 32
	leastTrend = 10
	narrow     = 60 // a screen on which the names give way
)

// columnsOf returns all columns in their order.
func columnsOf() []column {
	ofCalls := func(text func(*Figures) string) func(*Figures) string {
		return func(f *Figures) string {
			if !f.called() {
				return "-"
			}
			return text(f)
		}
	}
	return []column{
		{title: nameTitle, width: leastName, rank: 0, left: true, by: ByName, text: func(f *Figures) string { return f.Name }},
		{title: "STATE", width: 10, rank: 1, left: true, by: ByState, text: func(f *Figures) string { return string(f.State) }, tone: func(f *Figures) terminal.Tone { return stateTone(f.State) }},
		{title: "UP", width: 5, rank: 5, text: up, tone: func(f *Figures) terminal.Tone {
			if f.Ready < f.Wanted {
				return terminal.Warn
			}
			return terminal.Normal
		}},
		{title: "CALLS/S", width: 7, rank: 2, by: ByRate, text: ofCalls(func(f *Figures) string { return rate(f.Rate) })},
		{title: "P50", width: 6, rank: 11, by: ByP95, text: ofCalls(func(f *Figures) string { return took(f.P50) })},
		{title: "P95", width: 6, rank: 3, by: ByP95, text: ofCalls(func(f *Figures) string { return took(f.P95) })},
		{title: "P99", width: 6, rank: 9, by: ByP95, text: ofCalls(func(f *Figures) string { return took(f.P99) })},
		{title: "ERR/S", width: 5, rank: 4, by: ByErrors, text: ofCalls(func(f *Figures) string { return rate(f.ErrorRate) }), tone: func(f *Figures) terminal.Tone {
			if f.ErrorRate >= 0.05 {
				return terminal.Bad
			}
			return terminal.Normal
		}},
		{title: "QUEUE", width: 5, rank: 10, text: ofCalls(func(f *Figures) string { return strconv.Itoa(f.Queued) }), tone: func(f *Figures) terminal.Tone {
			if f.Queued > 0 {
				return terminal.Warn
			}
			return terminal.Normal
		}},
		{title: "CPU", width: 5, rank: 6, by: ByCPU, text: ofProcesses(func(f *Figures) string { return percent(f.CPU) })},
		{title: "RSS", width: 5, rank: 7, by: ByMemory, text: ofProcesses(func(f *Figures) string { return size(f.RSS) })},
		{title: trendTitle, width: leastTrend, rank: 8, tone: func(*Figures) terminal.Tone { return "36" }},
	}
}

// ofProcesses is a cell of rows that have a process now.
func ofProcesses(text func(*Figures) string) func(*Figures) string {
	return func(f *Figures) string {
		if f.Instances == 0 {
			return "-"
		}
		return text(f)
	}
}

// up is how many instances are ready, of how many.
func up(f *Figures) string {
	if f.Wanted == 0 {
		return "-"
	}
	return strconv.Itoa(f.Ready) + "/" + strconv.Itoa(f.Wanted)
}

// marker is what stands in front of the selected row.
const marker = "›"

// fitting returns the columns that have room in a width with gap cells between two, the
// longest name being of so many cells. The name and the trend take what is left.
func fitting(width, gap, name int) []column {
	all := columnsOf()
	name = min(max(name, len(nameTitle)), mostName)
	all[0].width = min(name, 14)
	if width < narrow {
		all[0].width = min(name, 10)
	}
	ranked := slices.Clone(all)
	slices.SortFunc(ranked, func(a, b column) int { return a.rank - b.rank })
	left, last := width-1, -1 // the marker
	for _, c := range ranked {
		need := c.width
		if c.rank > 0 {
			need += gap
		}
		if c.rank == 1 { // name and state are always there
			need = min(need, left)
		}
		if left-need < 0 && c.rank > 1 {
			break
		}
		left, last = left-need, c.rank
	}
	kept := slices.DeleteFunc(all, func(c column) bool { return c.rank > last })
	if left > 0 {
		more := min(left, name-kept[0].width)
		kept[0].width += more
		left -= more
	}
	if end := &kept[len(kept)-1]; end.title == trendTitle {
		end.width += min(left, points-end.width)
	}
	// Where there is room for no more than two columns, the name gives way.
	if used := 1 + kept[0].width + gap + 10; len(kept) == 2 && used > width {
		kept[0].width = max(kept[0].width-(used-width), 3)
		kept[1].width = max(width-1-kept[0].width-gap, 0)
	}
	return kept
}

// heading returns the titles of columns, and marks the one that the rows are sorted by.
func heading(columns []column, gap int, by Order) []part {
	line := []part{{text: " "}}
	marked := false
	for i, c := range columns {
		title := c.title
		tone := terminal.Faint
		if by != InFile && c.by == by && !marked && (by != ByP95 || c.title == "P95") {
			tone, marked = terminal.Bold, true
		}
		if i > 0 {
			line = append(line, part{text: strings.Repeat(" ", gap)})
		}
		line = append(line, part{cell(title, c), tone})
	}
	return line
}

// row returns the cells of one row.
func row(f *Figures, columns []column, gap int, selected bool) []part {
	line := []part{{text: " "}}
	if selected {
		line[0].text = marker
	}
	for i, c := range columns {
		if i > 0 {
			line = append(line, part{text: strings.Repeat(" ", gap)})
		}
		p := part{}
		if c.title == trendTitle {
			p.text = spark(f.Trend, c.width)
		} else {
			p.text = cell(terminal.Line(c.text(f)), c)
		}
		if c.tone != nil {
			p.tone = c.tone(f)
		}
		if value := strings.TrimSpace(p.text); value == "-" || value == "0" || value == "0%" {
			p.tone = terminal.Faint
		}
		line = append(line, p)
	}
	return line
}

// cell is a text in the width of its column.
func cell(text string, c column) string {
	if n := terminal.Cells(text); !c.left && n < c.width {
		return strings.Repeat(" ", c.width-n) + text
	}
	return terminal.Fit(text, c.width)
}

// part is a text, which holds nothing that a terminal would obey, and its tone.
type part struct {
	text string
	tone terminal.Tone
}
