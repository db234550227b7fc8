//go:build !linux

package modes

// knowsUnread is that unreadBytes does not know.
const knowsUnread = false

// unreadBytes would tell whether the other end has read all that was written; no other
// system than Linux says.
func unreadBytes(int) int { return 0 }
