//go:build !linux

package routes

import "net"

// portHolder and socketHolder cannot tell without /proc.
func portHolder(string) int { return 0 }

func socketHolder(net.Conn) int { return 0 }
