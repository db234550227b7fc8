# make run    build, and serve watchdog.yaml.example
# make test   the tests
# make swarm  the tests on a Docker Swarm of three real engines; they need root, docker.io, iproute2 and iptables
# make check  what has to hold before a commit
# make bench  the benchmarks of bench/README.md
# make build  bin/watchdogd, static
# make install  to $(DESTDIR)$(PREFIX)/bin, by default /usr/local/bin
# make docs   docs/reference.md and docs/terminal.svg, which are made from the program
# make picture  docs/page.png, in ten minutes, with Chromium
# make dist   what is released, into dist/: programs, packages, manual pages, SHA256SUMS

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version.linked=$(VERSION)
BINARY  ?= bin/watchdogd
PGO     := -pgo=packaging/hop.pgo
RACE    := $(shell command -v cc >/dev/null 2>&1 && echo -race)
TESTFLAGS ?=

# Modules of their own, so that what they need is no dependency of watchdogd.
MODULES := grpctest importtest exporttest dockertest pagetest

DESTDIR ?=
PREFIX  ?= /usr/local

.PHONY: build install run test test-watchdogd $(MODULES:%=test-%) swarm check bench docs picture dist clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' $(PGO) -o $(BINARY) ./cmd/watchdogd

install: build
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 0755 '$(BINARY)' '$(DESTDIR)$(PREFIX)/bin/watchdogd'

# The example's programs are compiled with the same flags: so the standard library is compiled once.
run: PGO :=
run: build
	bin/watchdogd -c watchdog.yaml.example

test: test-watchdogd $(MODULES:%=test-%)

# The bounds only end what hangs.
test-watchdogd:
	go test $(RACE) -shuffle=on -timeout 50m $(TESTFLAGS) ./...

test-grpctest: RACED := $(RACE)
$(MODULES:%=test-%): test-%:
	cd $* && go test $(RACED) -shuffle=on -timeout 20m $(TESTFLAGS) ./...

swarm:
	cd swarmtest && go test -count=1 -timeout 30m $(TESTFLAGS) ./...

check:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not formatted:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	@set -e; for module in $(MODULES) swarmtest; do echo "cd $$module && go vet ./..."; (cd $$module && go vet ./...); done
	go tool staticcheck ./...
	go test -count=1 -run '^TestHouse' ./cmd/watchdogd
	GOOS=darwin go build ./...
	GOOS=darwin go vet ./...

bench: build
	go run ./bench

picture:
	cd pagetest && go test -run TestThePictureOfThePage -count=1 -timeout 20m -picture 10m

docs:
	go test ./cmd/watchdogd -run '^TestTheReference|^TestThePicture' -count=1 -update

dist:
	packaging/dist

clean:
	rm -rf bin bench/out dist
