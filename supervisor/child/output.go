package child

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/internal/logwriter"
)

// Output takes what children of one name print, line by line, into the log, and keeps
// the last lines. However much they print and however slow the log is, they are never
// kept waiting: what the log cannot take is dropped, counted, and the count logged. Its
// maker closes it after the last Copy.
type Output struct {
	log      *slog.Logger
	key      string // route or service
	name     string
	printing Printing

	mu      sync.Mutex
	queue   []Line // for the log
	queued  int    // bytes in queue
	dropped int
	logging chan struct{} // not nil while lines are logged; closed when the queue is empty
	last    ring
	readers map[*Follower]struct{}
}

// Line is one line that a child printed, or a piece of a long one.
type Line struct {
	Time     time.Time `json:"time"`
	Name     string    `json:"name"`
	Instance int       `json:"instance"` // -1 for a process forked for one call
	PID      int       `json:"pid"`
	Stream   string    `json:"stream"` // stdout or stderr; event for what watchdogd notes
	Text     string    `json:"text"`   // without its newline
	Partial  bool      `json:"partial,omitempty"`
}

// Printing is how lines get into the log. The zero value is a record of the log each.
type Printing struct {
	// Longest is the length in bytes from which on a line is cut into pieces; 0 is 64
	// KiB. What is above MostLine is MostLine.
	Longest int
	// Write writes one line, and may wait; it is called for one line of an Output at a
	// time. nil is by the log.
	Write func(*Line)
	// Whole makes one entry of all that a process prints, when it has ended: a Line with
	// newlines in its Text. Longest applies to it.
	Whole bool
}

// longest is the length of a piece: room for one character at least.
func (p Printing) longest() int {
	if p.Longest == 0 {
		return maxLine
	}
	return min(max(p.Longest, utf8.UTFMax), MostLine)
}

// MostLine is the most that is held of a line, whatever Longest says.
const MostLine = 1 << 20

// MostLines is how many of its last lines are kept of a process.
const MostLines = 1000

const (
	maxLine   = 64 << 10  // a longer line is cut into pieces, where nothing else is said
	maxQueue  = 1 << 20   // bytes that wait for a slow log; the last line may go beyond
	lineCost  = 160       // bytes that a waiting line takes besides its text
	keptQueue = 16        // lines for which an empty queue keeps its memory: a process that prints now and then needs no more
	maxRing   = 128 << 10 // bytes of last lines
	maxLast   = MostLines // last lines
)

// NewOutput returns the output of the process called name, into log as p says. In the log
// the name has the key kind, which is route or service.
func NewOutput(log *slog.Logger, kind, name string, p Printing) *Output {
	return &Output{log: log, key: kind, name: name, printing: p}
}

// Name is the name of the process.
func (o *Output) Name() string { return o.name }

// Copy reads what process pid prints to stream until the end of file or an error, and
// returns when it is in the log, or the log has not taken it within a second. Lines
// that are too long come in pieces, all but the last with partial=true. A pipe that is
// silent costs no buffer.
func (o *Output) Copy(pid int, stream string, r io.Reader) {
	o.CopyInstance(-1, pid, stream, r, nil)
}

// CopyInstance is Copy for the instance of that number. Each line is shown to seen, which
// may be nil.
func (o *Output) CopyInstance(number, pid int, stream string, r io.Reader, seen func([]byte)) {
	head := Line{Name: o.name, Instance: number, PID: pid, Stream: stream}
	defer logwriter.LastWords(o.log)
	in := input{r: r, most: o.printing.longest()}
	if f, ok := r.(syscall.Conn); ok {
		in.conn, _ = f.SyscallConn() // without one, Read does
	}
	defer in.release()
	emit := func(text []byte, partial bool) {
		if seen != nil {
			seen(text)
		}
		l := head
		l.Time, l.Text, l.Partial = time.Now(), string(text), partial
		o.put(l)
	}
	for {
		n, err := in.fill()
		fresh, begin := in.held, 0
		in.held += n
		for {
			i := -1
			if !o.printing.Whole {
				i = bytes.IndexByte(in.bytes()[fresh:], '\n')
			}
			end := in.held
			if i >= 0 {
				end = fresh + i
			}
			for end-begin > in.most || i < 0 && end-begin == in.most {
				cut := wholeRunes(in.buf[begin : begin+in.most])
				emit(in.buf[begin:begin+cut], true)
				begin += cut
			}
			if i < 0 {
				break
			}
			emit(bytes.TrimSuffix(in.buf[begin:end], []byte("\r")), false)
			fresh = end + 1
			begin = fresh
		}
		in.drop(begin)
		if err != nil {
			break
		}
	}
	if in.held > 0 {
		emit(bytes.TrimSuffix(in.bytes(), []byte("\n")), false) // a last line has its newline if it is Whole
	}
	o.settle()
}

// wholeRunes is how many bytes of b can be cut off without cutting a character.
func wholeRunes(b []byte) int {
	for back := 1; back < utf8.UTFMax; back++ {
		if i := len(b) - back; utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}

// input is a buffer over a reader, of maxLine bytes or, as they come, the most that are
// looked at together. Over a pipe there is a buffer only while there is something in it.
type input struct {
	r    io.Reader
	conn syscall.RawConn
	most int
	buf  []byte
	held int
}

var buffers = sync.Pool{New: func() any { return new([maxLine]byte) }}

func (in *input) fill() (n int, err error) {
	if in.conn == nil {
		in.acquire()
		return in.r.Read(in.buf[in.held:])
	}
	var failed error
	err = in.conn.Read(func(fd uintptr) bool {
		in.acquire()
		for {
			n, failed = syscall.Read(int(fd), in.buf[in.held:])
			switch {
			case failed == syscall.EINTR:
				continue
			case failed == syscall.EAGAIN:
				in.drop(0)
				return false
			}
			return true
		}
	})
	n = max(n, 0)
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, failed
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (in *input) bytes() []byte { return in.buf[:in.held] }

// acquire makes room to read.
func (in *input) acquire() {
	switch {
	case in.buf == nil:
		in.buf = buffers.Get().(*[maxLine]byte)[:]
	case in.held == len(in.buf):
		larger := make([]byte, min(2*len(in.buf), in.most))
		copy(larger, in.buf)
		held := in.held
		in.release()
		in.buf, in.held = larger, held
	}
}

// drop forgets the first n bytes, and the buffer when nothing is left.
func (in *input) drop(n int) {
	if n > 0 {
		in.held = copy(in.buf, in.buf[n:in.held])
	}
	if in.held == 0 {
		in.release()
	}
}

func (in *input) release() {
	if len(in.buf) == maxLine {
		buffers.Put((*[maxLine]byte)(in.buf))
	}
	in.buf = nil
}

// put adds one line to the ring, the followers and the log.
func (o *Output) put(l Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last.add(l)
	for f := range o.readers {
		f.Put(l)
	}
	if o.queued >= maxQueue {
		o.dropped++
		return
	}
	o.queued += len(l.Text) + lineCost
	o.queue = append(o.queue, l)
	if o.logging == nil {
		o.logging = make(chan struct{})
		go o.logAll(o.logging) // Close waits for it
	}
}

// EventStream is the stream of a line that says what happened to a process.
const EventStream = "event"

// Note keeps a line that says what happened to the process, and shows it to followers. It
// is not logged: its maker has done that.
func (o *Output) Note(text string) {
	l := Line{Time: time.Now(), Name: o.name, Instance: -1, Stream: EventStream, Text: text}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last.add(l)
	for f := range o.readers {
		f.Put(l)
	}
}

// logAll logs the queue until it is empty. It is the only part that waits for the log.
func (o *Output) logAll(done chan struct{}) {
	defer logwriter.LastWords(o.log)
	var spare []Line
	for {
		o.mu.Lock()
		lines, dropped := o.queue, o.dropped
		o.queue, o.queued, o.dropped = spare[:0], 0, 0
		if len(lines) == 0 && dropped == 0 {
			if o.logging = nil; cap(lines) > keptQueue {
				o.queue = nil
			}
			o.mu.Unlock()
			close(done)
			return
		}
		o.mu.Unlock()
		for i := range lines {
			if o.printing.Write != nil {
				o.printing.Write(&lines[i])
			} else {
				o.record(&lines[i])
			}
			lines[i].Text = ""
		}
		if dropped > 0 {
			o.log.LogAttrs(context.Background(), slog.LevelWarn, "output dropped", slog.String(o.key, o.name), slog.Int("lines", dropped),
				slog.String("why", "the process prints faster than the log takes it"))
		}
		spare = lines
	}
}

// Close waits until all that was printed has been logged, so that nothing of o runs any
// more. A log that takes nothing is not waited for longer than a second.
func (o *Output) Close() { o.settle() }

// logBound is how long the log may take for the last lines.
const logBound = time.Second

// settle waits until all that was put has been logged, but no longer than logBound.
func (o *Output) settle() {
	o.mu.Lock()
	done := o.logging
	o.mu.Unlock()
	if done == nil {
		return
	}
	t := time.NewTimer(logBound)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// record logs one line. A line that is a JSON object stays one.
func (o *Output) record(l *Line) {
	var room [6]slog.Attr
	attrs := append(room[:0], slog.String(o.key, o.name), slog.String("stream", l.Stream), slog.Int("pid", l.PID))
	if l.Instance >= 0 {
		attrs = append(attrs, slog.Int("instance", l.Instance))
	}
	switch {
	case l.Partial:
		attrs = append(attrs, slog.String("line", l.Text), slog.Bool("partial", true))
	case isObject(l.Text):
		attrs = append(attrs, slog.Any("json", json.RawMessage(l.Text)))
	default:
		attrs = append(attrs, slog.String("line", l.Text))
	}
	o.log.LogAttrs(context.Background(), slog.LevelInfo, "output", attrs...)
}

func isObject(s string) bool {
	return len(s) > 1 && s[0] == '{' && s[len(s)-1] == '}' && json.Valid([]byte(s))
}

// Lines returns the last lines, oldest first.
func (o *Output) Lines() []Line {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last.lines()
}

// ring is the last lines, bounded in number and in bytes.
type ring struct {
	all   []Line // at most maxLast; behind the last place comes the first
	first int    // the oldest
	n     int
	bytes int
}

func (r *ring) add(l Line) {
	for r.n == maxLast || r.n > 0 && r.bytes+len(l.Text) > maxRing {
		r.bytes -= len(r.all[r.first].Text)
		r.all[r.first] = Line{}
		r.first = (r.first + 1) % len(r.all)
		r.n--
	}
	if r.n == len(r.all) { // it grows until it is as large as it may be
		all := make([]Line, min(max(2*len(r.all), 16), maxLast))
		copy(all, r.lines())
		r.all, r.first = all, 0
	}
	r.all[(r.first+r.n)%len(r.all)] = l
	r.n++
	r.bytes += len(l.Text)
}

func (r *ring) lines() []Line {
	if r.n == 0 {
		return nil
	}
	end := r.first + r.n
	lines := append(make([]Line, 0, r.n), r.all[r.first:min(end, len(r.all))]...)
	return append(lines, r.all[:max(end-len(r.all), 0)]...)
}
