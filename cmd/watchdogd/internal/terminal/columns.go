package terminal

import (
	"io"
	"strings"
	"sync"
)

// Columns writes lines of several sources below each other: "name | text", the names
// aligned and each in a colour of its own. A line that is longer than the screen is wide
// goes on below its own text. It may be used by several goroutines.
type Columns struct {
	out    io.Writer
	screen Screen

	mu    sync.Mutex
	names map[string]int // by their order
	wide  int            // cells of the widest name
}

// NewColumns returns Columns to out, on a screen. names are those that are known already.
func NewColumns(out io.Writer, screen Screen, names ...string) *Columns {
	c := &Columns{out: out, screen: screen, names: map[string]int{}}
	for _, name := range names {
		c.know(name)
	}
	return c
}

// Know makes room for the names.
func (c *Columns) Know(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.know(name)
	}
}

func (c *Columns) know(name string) (order int) {
	order, ok := c.names[name]
	if !ok {
		order = len(c.names)
		if order < mostNames {
			c.names[name] = order
		}
		c.wide = max(c.wide, min(Cells(name), widestName))
	}
	return order
}

const (
	mostNames  = 1000 // whose colour is remembered
	widestName = 24
	leastText  = 8
	separator  = " | "
)

// tints are the colours of the names, one after another.
var tints = [...]Tone{"36", "35", "34", "32", "33", "96", "95", "94"}

// Print writes a line of the source called name. The text may hold anything; its own
// colours are shown where it has no tone.
func (c *Columns) Print(name, text string, tone Tone) error {
	name = Line(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	tint := tints[c.know(name)%len(tints)]
	column, room := c.layout()
	var b strings.Builder
	head := Fit(name, column)
	for _, row := range wrap(pieces(text, c.screen.Colour && tone == Normal), room) {
		b.WriteString(c.screen.Paint(head, tint))
		b.WriteString(strings.TrimRight(c.screen.Paint(separator[:2], Faint)+" "+c.screen.Paint(row, tone), " "))
		b.WriteByte('\n')
		head = strings.Repeat(" ", column)
	}
	_, err := io.WriteString(c.out, b.String())
	return err
}

// layout is the cells of the column of names and those that are left for the text; 0 is no
// limit. On a narrow screen the names give way first.
func (c *Columns) layout() (column, room int) {
	width := c.screen.Width()
	if width <= 0 {
		return c.wide, 0
	}
	column = c.wide
	if width-column-len(separator) < 3*leastText {
		column = min(column, max(width/4, 3))
	}
	return column, max(width-column-len(separator), 1)
}

// wrap lays pieces out in rows of at most room cells, cut at a space where there is one in
// the second half; 0 is one row. A colour goes on in the next row, and ends with the last.
func wrap(all []piece, room int) []string {
	var rows [][]piece
	var row []piece
	used := 0
	for _, p := range all {
		for _, part := range split(p, room) {
			for room > 0 && used > 0 && used+part.cells > room {
				end, next := len(row), len(row)
				for i, behind := len(row)-1, 0; i > 0 && behind <= room/2; i-- {
					if row[i].text == " " {
						end, next = i, i+1
						break
					}
					behind += row[i].cells
				}
				rows = append(rows, row[:end])
				row, used = append([]piece(nil), row[next:]...), 0
				for _, p := range row {
					used += p.cells
				}
			}
			row = append(row, part)
			used += part.cells
		}
	}
	return painted(append(rows, row))
}

// painted is the text of rows, each with the colours that the former ones left on.
func painted(rows [][]piece) (texts []string) {
	on := "" // the colours that hold
	for _, row := range rows {
		text := on
		for _, p := range row {
			if text += p.text; !p.colour {
				continue
			}
			if on += p.text; p.text == "\x1b[m" || p.text == "\x1b[0m" || len(on) > longestSequence {
				on = ""
			}
		}
		if on != "" {
			text += "\x1b[0m"
		}
		texts = append(texts, text)
	}
	return texts
}

// split cuts a piece of several characters, as \x1b is, where it is wider than a row.
func split(p piece, room int) []piece {
	if room == 0 || p.cells <= room || len(p.text) != p.cells {
		return []piece{p}
	}
	var parts []piece
	for text := p.text; text != ""; {
		n := min(room, len(text))
		parts = append(parts, piece{text: text[:n], cells: n})
		text = text[n:]
	}
	return parts
}

// Rows returns a line that a program printed, without its colours and with what a terminal
// would obey shown, laid out in rows of at most room cells.
func Rows(line string, room int) []string { return wrap(pieces(line, false), max(room, 1)) }

// Line returns a line as Rows does, in one row.
func Line(s string) string {
	var b strings.Builder
	for _, p := range pieces(s, false) {
		b.WriteString(p.text)
	}
	return b.String()
}
