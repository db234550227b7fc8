package child

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// credential reads user or user:group, by name or number. A number that the system
// does not know stands for itself, with a group of the same number.
func credential(s string) (*syscall.Credential, *user.User, error) {
	name, group, hasGroup := strings.Cut(s, ":")
	cred := &syscall.Credential{}
	account, err := user.Lookup(name)
	if err != nil {
		account, err = user.LookupId(name)
	}
	switch {
	case err == nil:
		uid, _ := strconv.ParseUint(account.Uid, 10, 32) // both are numbers on the systems we run on
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		cred.Uid, cred.Gid = uint32(uid), uint32(gid)
		ids, _ := account.GroupIds() // none is what a user without groups has
		for _, id := range ids {
			if n, err := strconv.ParseUint(id, 10, 32); err == nil {
				cred.Groups = append(cred.Groups, uint32(n))
			}
		}
	default:
		n, numErr := strconv.ParseUint(name, 10, 32)
		if numErr != nil {
			return nil, nil, fmt.Errorf("user %q is not known to this system: add it, or write its number", name)
		}
		account = nil
		cred.Uid, cred.Gid = uint32(n), uint32(n)
	}
	if hasGroup {
		g, err := user.LookupGroup(group)
		if err != nil {
			g, err = user.LookupGroupId(group)
		}
		id := group
		if err == nil {
			id = g.Gid
		}
		n, numErr := strconv.ParseUint(id, 10, 32)
		if numErr != nil {
			return nil, nil, fmt.Errorf("group %q of user %q is not known to this system: add it, or write its number", group, s)
		}
		cred.Gid = uint32(n)
	}
	if os.Geteuid() != 0 {
		if int(cred.Uid) == os.Geteuid() && int(cred.Gid) == os.Getegid() {
			return nil, account, nil // what we are already
		}
		return nil, nil, fmt.Errorf("user %q: only root can start a process as another user, and watchdogd runs as user %d", s, os.Geteuid())
	}
	return cred, account, nil
}
