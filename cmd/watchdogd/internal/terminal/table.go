package terminal

import (
	"io"
	"strings"
)

// Table writes rows, of which the first is the heading, below each other in columns. Where
// the screen is too narrow for that, each row is a block: a line of its first cell, and below
// it a line for each other. toned, which may be nil, is the tone of a cell.
func Table(w io.Writer, screen Screen, rows [][]string, toned func(row, column int) Tone) error {
	if len(rows) == 0 {
		return nil
	}
	if toned == nil {
		toned = func(int, int) Tone { return Normal }
	}
	shown := make([][]string, len(rows))
	widths := make([]int, len(rows[0]))
	for i, row := range rows {
		for n, cell := range row {
			cell = Line(cell)
			shown[i] = append(shown[i], cell)
			widths[n] = max(widths[n], Cells(cell))
		}
	}
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	var b strings.Builder
	if limit := screen.Width(); limit > 0 && total > limit {
		blocks(&b, screen, limit, shown, toned)
	} else {
		for i, row := range shown {
			var line strings.Builder
			for n, cell := range row {
				tone := toned(i, n)
				if i == 0 {
					tone = Faint
				}
				padding := ""
				if n < len(row)-1 {
					padding = strings.Repeat(" ", widths[n]-Cells(cell)+2)
				}
				line.WriteString(screen.Paint(cell, tone) + padding)
			}
			b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// blocks writes each row of a table as lines no wider than limit.
func blocks(b *strings.Builder, screen Screen, limit int, rows [][]string, toned func(row, column int) Tone) {
	for i, row := range rows {
		if i == 0 {
			continue // the heading
		}
		for n, cell := range row {
			indent := "  "
			if n == 0 {
				indent = ""
			}
			if cell == "" || cell == "-" {
				continue
			}
			for _, line := range wrap(pieces(cell, false), max(limit-len(indent), 1)) {
				b.WriteString(indent + screen.Paint(line, toned(i, n)) + "\n")
			}
		}
	}
}
