package child

import "time"

// Usage is what a child and its descendants use together.
type Usage struct {
	RSS int64         // bytes of memory
	CPU time.Duration // since their start
}

// Usage returns what the child and its descendants use now.
func (c *Child) Usage() Usage { return Usages()(c) }
