// Package child starts processes, watches them, and ends them so that no descendant of
// theirs is left. It is the only package that starts operating-system processes.
//
// A Program is a command that was looked up once and may be started many times. Start
// returns a Child, which leads a process group of its own. Kill or Stop end the group, also
// after the child has ended by itself; Sweep ends descendants that left the group. The code
// that starts a child ends it.
//
// A child of an Owner may live as long as this program. What it leaves behind is known by a
// mark in its environment, by its time of start or by its program. Output takes what children
// print, line by line.
//
// A program that imports this package calls Shim first of all in its main, and runs Tend
// while it has children. The package makes the program a subreaper
// (PR_SET_CHILD_SUBREAPER): orphans among its descendants become its children, and Tend
// waits for them. Should the program itself be killed, a guard that Tend keeps beside it kills
// what is left.
package child
