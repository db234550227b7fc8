//go:build !linux

package supervisor

func usages() func(pid int, o *origin) use { return func(int, *origin) use { return use{} } }

func usage(int, *origin) use { return use{} }
