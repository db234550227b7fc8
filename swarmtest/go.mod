module github.com/watchdogd/watchdogd/swarmtest

go 1.26.0
