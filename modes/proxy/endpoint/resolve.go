package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// lookAfter resolves the names and probes the endpoints until Close.
func (s *Set) lookAfter() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() {
		<-s.stop
		cancel()
	})
	if s.o.Probe != nil {
		beside.Go(func() { s.probe(ctx) })
	}
	if !s.names {
		<-ctx.Done()
		return
	}
	for filled := false; ; {
		s.resolve(ctx)
		if !filled {
			close(s.filled)
			filled = true
		}
		next := time.NewTimer(resolveEvery)
		least := time.NewTimer(resolveLeast)
		select {
		case <-ctx.Done():
		case <-next.C:
		case <-s.renew:
			select { // however many ask
			case <-ctx.Done():
			case <-least.C:
			}
		}
		next.Stop()
		least.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// resolve makes the addresses that the names have now the endpoints. A name that does not
// exist has none; where the answer is missing, the addresses known so far are kept.
func (s *Set) resolve(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, resolveBound)
	defer cancel()
	var addresses []string
	var problems []string
	for _, a := range s.o.Addresses {
		if !named(s.o.Network, a) {
			addresses = append(addresses, a)
			continue
		}
		host, port, _ := net.SplitHostPort(a) // as it was checked
		ips, err := s.o.Resolver.LookupNetIP(ctx, "ip", host)
		var dns *net.DNSError
		switch {
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
			return
		case errors.As(err, &dns) && dns.IsNotFound:
			problems = append(problems, fmt.Sprintf("the name %s does not exist or has no address", host))
			continue
		case err != nil:
			known := s.known(port)
			problems = append(problems, unresolved(host, err, len(known) > 0))
			addresses = append(addresses, known...)
			continue
		}
		for _, ip := range ips {
			addresses = append(addresses, net.JoinHostPort(ip.Unmap().String(), port))
		}
	}
	slices.SortFunc(addresses, byNumber)
	addresses = slices.Compact(addresses)
	if len(addresses) > Most {
		problems = append(problems, fmt.Sprintf("the upstream has %d addresses, of which %d are used", len(addresses), Most))
		addresses = addresses[:Most]
	}
	s.become(addresses, strings.Join(problems, "; "))
}

// unresolved says why there is no answer for a name. It is the same text as long as the
// reason is the same.
func unresolved(host string, err error, known bool) string {
	why := err.Error()
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsTimeout && dns.Server != "":
			why = "the name server " + dns.Server + " does not answer"
		case dns.IsTimeout:
			why = "no name server answers"
		case dns.Server != "":
			why = "the name server " + dns.Server + " fails: " + dns.Err
		}
	}
	if known {
		why += "; the addresses known so far are kept"
	}
	return "the name " + host + " is not resolved: " + why
}

// byNumber compares addresses by their IP addresses as numbers.
func byNumber(a, b string) int {
	x, xErr := netip.ParseAddrPort(a)
	y, yErr := netip.ParseAddrPort(b)
	if xErr != nil || yErr != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

// known are the addresses of a port that are endpoints now.
func (s *Set) known(port string) (addresses []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.all {
		if _, p, err := net.SplitHostPort(e.Address); err == nil && p == port {
			addresses = append(addresses, e.Address)
		}
	}
	return addresses
}

// say logs a problem when it comes and when it goes.
func (s *Set) say(before, problem string) {
	switch {
	case problem == before:
	case problem == "":
		s.o.Log.Info("upstream name resolved", "route", s.o.Route)
	default:
		s.o.Log.Warn("upstream name has a problem", "route", s.o.Route, "why", problem)
	}
}

// Become makes these addresses the endpoints, of a set that was made with none. Addresses
// beyond Most are not used.
func (s *Set) Become(addresses []string) {
	problem := ""
	if n := len(addresses); n > Most {
		problem = fmt.Sprintf("there are %d servers, of which %d are used", n, Most)
		addresses = addresses[:Most]
	}
	s.become(addresses, problem)
}

// become makes these addresses the endpoints, and problem what Status says of them, in one
// step: those that stay keep what is known of them.
func (s *Set) become(addresses []string, problem string) {
	s.mu.Lock()
	before := s.problem
	s.problem = problem
	s.replace(addresses)
	s.mu.Unlock()
	s.say(before, problem)
}

// replace does it with mu held.
func (s *Set) replace(addresses []string) {
	var kept []*Endpoint
	s.out = 0
	for _, a := range addresses {
		i := slices.IndexFunc(s.all, func(e *Endpoint) bool { return e.Address == a })
		if i < 0 {
			kept = append(kept, &Endpoint{Address: a, Value: s.o.Make(a), set: s})
			continue
		}
		if !s.all[i].until.IsZero() {
			s.out++
		}
		kept = append(kept, s.all[i])
	}
	for _, e := range s.all {
		if !slices.Contains(kept, e) {
			e.gone = true
			if e.inflight == 0 {
				_ = e.Value.Close() // connections that no call uses
			}
		}
	}
	s.all = kept
}

// probe asks all endpoints, every Interval, until ctx ends.
func (s *Set) probe(ctx context.Context) {
	for {
		s.mu.Lock()
		all := slices.Clone(s.all)
		s.mu.Unlock()
		var asked sync.WaitGroup
		for _, e := range all {
			asked.Go(func() { // it has the bound of Options.Probe
				err := s.o.Probe(ctx, e.Address)
				if ctx.Err() == nil {
					e.probed(err)
				}
			})
		}
		asked.Wait()
		pause := time.NewTimer(s.o.Interval)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// probed takes the result of a probe: consecutive failures leave the endpoint out until a
// probe succeeds.
func (e *Endpoint) probed(err error) {
	s := e.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.gone {
		return // it was asked before it left the name
	}
	if err == nil {
		if e.unwell >= max(s.o.Failures, 1) {
			e.back()
		}
		e.unwell = 0
		return
	}
	if e.unwell++; e.unwell >= max(s.o.Failures, 1) {
		e.leaveOut(time.Now(), fmt.Errorf("its probe fails: %w", err))
	}
}
