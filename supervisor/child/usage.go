package child

import "time"

// Usage is what a child and its descendants use together.
type Usage struct {
	RSS int64         // bytes of memory
	CPU time.Duration // since their start
}

// Usage returns what the child and its descendants use now.
func (c *Child) Usage() Usage { return Usages()(c) }

// Peak is the most memory that the child's leader has had at once, in bytes; 0 when that is
// unknown. Those whose end it saw count too once it has ended.
func (c *Child) Peak() int64 {
	if c.Ended() {
		return c.exit.Peak
	}
	return peak(c.pid)
}
