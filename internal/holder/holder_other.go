//go:build !linux

package holder

import "net"

// OfPort and OfSocket cannot tell without /proc.
func OfPort(int) int { return 0 }

// OfSocket returns 0, as OfPort.
func OfSocket(net.Conn) int { return 0 }
