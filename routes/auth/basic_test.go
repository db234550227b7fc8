package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tg123/go-htpasswd"
	"golang.org/x/crypto/bcrypt"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

func basicRoute(file string, users map[string]schema.Secret) *schema.Route {
	return &schema.Route{Name: "web", Auth: schema.Auth{Basic: &schema.BasicAuth{File: file, Users: users}}}
}

// basicOf is the value of Authorization for a user and a password.
func basicOf(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func bcryptOf(t testing.TB, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// The hashes are those that htpasswd printed for the password "open sesame".
var hashes = map[string]string{
	"bcrypt": "$2y$05$kMaevA8/Z7/jed22TtgrVO1PUo9521WoyEY0csvBw.YLvhunVCsx6",
	"md5":    "$apr1$oTtjbCN0$hCi.RG1VJVpYLxcuc2qok1",
	"sha":    "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=",
}

func TestHashesOfHtpasswdAreVerified(t *testing.T) {
	for form, hash := range hashes {
		a := newAsked(t, basicRoute("", map[string]schema.Secret{"ann": schema.Secret(hash)}))
		if got := a.call(t, basicOf("ann", "open sesame")); got.status != 200 {
			t.Errorf("%s: got %+v, want 200", form, got)
		}
		if got := a.call(t, basicOf("ann", "open Sesame")); got.status != 401 {
			t.Errorf("%s with another password: got %+v, want 401", form, got)
		}
	}
}

func TestUsersOfAnHtpasswdFileAreAdmitted(t *testing.T) {
	htpasswd, err := exec.LookPath("htpasswd")
	if err != nil {
		t.Skip("htpasswd (apache2-utils) is not installed")
	}
	name := file(t, "")
	forms := map[string]string{"bcrypt": "-B", "md5": "-m", "sha": "-s"}
	if runtime.GOOS == "linux" { // others have an older one
		forms["sha256"], forms["sha512"] = "-2", "-5"
	}
	for user, form := range forms {
		if out, err := exec.Command(htpasswd, "-b", form, name, user, "open sésame:"+user).CombinedOutput(); err != nil {
			t.Fatalf("htpasswd %s: got %v: %s, want no error", form, err, out)
		}
	}
	users := []string{"env"}
	a := newAsked(t, basicRoute(name, map[string]schema.Secret{"env": schema.Secret(bcryptOf(t, "open sésame:env", 4))}))
	for user := range maps.Keys(forms) {
		users = append(users, user)
	}
	for _, user := range users {
		for range 2 { // verified, and remembered
			got := a.call(t, basicOf(user, "open sésame:"+user))
			if got.status != 200 || got.user != user || got.header.Get("X-Auth-User") != user || got.header.Get("Authorization") != "" {
				t.Errorf("%s: got %+v, want the user, and no password", user, got)
			}
			for _, wrong := range []string{"", "open sésame:", "open sésame:" + user + "x", "Open sésame:" + user, strings.Repeat("x", 2000)} {
				if got := a.call(t, basicOf(user, wrong)); got.status != 401 {
					t.Errorf("%s with the password %.20q: got %+v, want 401", user, wrong, got)
				}
			}
		}
	}
	for _, authorization := range []string{"", "Basic", "Basic !", "Basic " + base64.StdEncoding.EncodeToString([]byte("bcrypt")), "Bearer x", basicOf("nobody", "x"), basicOf("", ""),
		basicOf("BCRYPT", "open sésame:bcrypt"), basicOf("bcrypt ", "open sésame:bcrypt"), basicOf("nobody", "open sésame:bcrypt"), "Basic " + strings.Repeat("QUFB", 1<<18)} {
		if got := a.call(t, authorization); got.status != 401 || got.challenge != `Basic realm="web", charset="UTF-8"` {
			t.Errorf("%.30q: got %+v, want 401 with a challenge", authorization, got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{basicOf("sha", "open sésame:sha"), basicOf("sha", "x")}
	if got := a.ask(t, r); got.status != 401 {
		t.Errorf("two Authorization headers: got %+v, want 401", got)
	}
}

func TestAMalformedHtpasswdFileIsAMistakeWithItsLine(t *testing.T) {
	good := "ann:" + bcryptOf(t, "x", 4)
	for text, want := range map[string]string{
		"":                                      ":1:1: the file has no users",
		"#\n":                                   ":1:1: the file has no users",
		good + "\nhush":                         ":2:1: the line has no colon",
		good + "\n" + good:                      ":2:1: the user is in the file twice",
		"ann:hush":                              ":1:1: the hash is in none of the forms",
		"ann:":                                  ":1:1: the hash is in none of the forms",
		"ann:$2y$05$hush":                       ":1:1: the bcrypt hash is malformed",
		good[:len(good)-1]:                      ":1:1: the bcrypt hash is malformed",
		"ann:$2x" + good[len("ann:$2a"):]:       ":1:1: the bcrypt hash is malformed",
		"ann:$2y$31" + good[len("ann:$2a$04"):]: ":1:1: the bcrypt cost is 31; it must be from 4 to 15",
		"ann:$apr1$hush":                        ":1:1: the MD5 ($apr1$) hash is malformed",
		"ann:{SHA}hush":                         ":1:1: the {SHA} hash is malformed",
		"ann:$6$rounds=999999999$a$" + strings.Repeat("a", 86): ":1:1: the hash has 999999999 rounds",
		"ann:$5$a$" + strings.Repeat("a", 86):                  ":1:1: the SHA-crypt hash is malformed",
		" ann:x":                                               ":1:1: the user before the colon",
		"a\tb:x":                                               ":1:1: the user before the colon",
	} {
		wantMistakes(t, schema.Auth{Basic: &schema.BasicAuth{File: file(t, text)}}, want, "hush")
	}
}

// slow is a hash whose verification takes as long as a test wants.
type slow struct {
	asked   atomic.Int32
	release chan struct{}
	entered chan struct{}
}

func (s *slow) MatchesPassword(password string) bool {
	s.asked.Add(1)
	s.entered <- struct{}{}
	<-s.release
	return password == "right"
}

func TestWrongPasswordsWaitForATurnAndOthersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &slow{release: make(chan struct{}), entered: make(chan struct{}, 1000)}
		b, err := newBasic("web", &schema.BasicAuth{Users: map[string]schema.Secret{"ann": schema.Secret(bcryptOf(t, "x", 4))}}, NewShared(nil))
		if err != nil {
			t.Fatal(err)
		}
		u := &account{hash: hash, weight: 1}
		known := &account{hash: hash, weight: 1}
		mac := b.mac("known", "right")
		known.good.Store(&mac)
		b.users, b.slowest = map[string]*account{"ann": u, "known": known}, u
		slots := cap(b.turns.slots)

		var busy, refused, admitted atomic.Int32
		var all sync.WaitGroup
		verify := func(ctx context.Context, user, password string) {
			all.Go(func() {
				switch ok, err := b.verify(ctx, user, password); {
				case errors.Is(err, errBusy):
					busy.Add(1)
				case err == nil && !ok:
					refused.Add(1)
				case ok:
					admitted.Add(1)
				}
			})
		}
		for range slots {
			verify(t.Context(), "ann", "wrong")
		}
		synctest.Wait()
		for n := range 1000 {
			verify(t.Context(), []string{"ann", "nobody"}[n%2], fmt.Sprint("wrong", n))
		}
		synctest.Wait()
		if got, want := hash.asked.Load(), int32(slots); got != want {
			t.Errorf("got %d passwords verified at once, want %d", got, want)
		}
		if got, want := busy.Load(), int32(1000-mostWaiting); got != want {
			t.Errorf("got %d calls without a turn, want %d", got, want)
		}
		if ok, err := b.verify(t.Context(), "known", "right"); !ok || err != nil {
			t.Errorf("a user whose password was verified before: got %v and %v, want them admitted at once", ok, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.verify(gone, "ann", "x"); err == nil {
			t.Error("a client that has left: got no error, want one")
		}
		close(hash.release)
		all.Wait()
		if got, want := refused.Load(), int32(slots+mostWaiting); got != want {
			t.Errorf("got %d wrong passwords, want %d", got, want)
		}
		verify(t.Context(), "ann", "right")
		verify(t.Context(), "ann", "right")
		all.Wait()
		asked := hash.asked.Load()
		if ok, _ := b.verify(t.Context(), "ann", "right"); !ok || hash.asked.Load() != asked {
			t.Error("a verified password is verified again, want it remembered")
		}
	})
}

func TestAClientWithoutATurnGetsRetryAfter(t *testing.T) {
	a := newAsked(t, basicRoute("", map[string]schema.Secret{"ann": schema.Secret(bcryptOf(t, "right", 4))}))
	a.shared.hashing.most = 0
	for range cap(a.shared.hashing.slots) {
		a.shared.hashing.slots <- struct{}{}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("ann", "right")
	one, r := call.Enter(httptest.NewRecorder(), r)
	defer one.Leave()
	err := a.check.Check(one, r)
	if err == nil || err.Kind != failure.AuthUnavailable || err.RetryAfter != retryUnavailable || err.Route != "web" {
		t.Errorf("got %+v, want 503 with a time to come again", err)
	}
}

// A user that does not exist costs what the most expensive one does, and so does one whose own
// hash is cheap.
func TestARefusalCostsTheSameForEveryUser(t *testing.T) {
	b, err := newBasic("web", &schema.BasicAuth{Users: map[string]schema.Secret{"ann": schema.Secret(bcryptOf(t, "x", 4))}}, NewShared(nil))
	if err != nil {
		t.Fatal(err)
	}
	dear := &slow{release: make(chan struct{}), entered: make(chan struct{}, 10)}
	close(dear.release)
	sha, err := htpasswd.AcceptSha("{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=")
	if err != nil {
		t.Fatal(err)
	}
	b.users = map[string]*account{"dear": {hash: dear, weight: 50}, "cheap": {hash: sha}}
	b.slowest = b.users["dear"]
	for _, user := range []string{"dear", "cheap", "nobody", ""} {
		before := dear.asked.Load()
		if ok, err := b.verify(t.Context(), user, "wrong"); ok || err != nil {
			t.Errorf("%s: got %v and %v, want it refused", user, ok, err)
		}
		if got := dear.asked.Load() - before; got != 1 {
			t.Errorf("%s: got %d verifications of the most expensive hash, want 1", user, got)
		}
	}
	if ok, _ := b.verify(t.Context(), "nobody", "right"); ok {
		t.Error("a user that does not exist is admitted by the password of another one")
	}
}

func FuzzHtpasswd(f *testing.F) {
	for _, hash := range hashes {
		f.Add("ann:" + hash)
	}
	f.Add("a:$6$rounds=5000$salt$x\nb:$5$x$")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := newBasic("f", &schema.BasicAuth{File: file(t, text)}, NewShared(nil))
		if err == nil && (len(b.users) == 0 || b.slowest == nil) {
			t.Error("got no mistake in a file without a user")
		}
		if err != nil {
			return
		}
		for name, u := range b.users {
			if !sound(name) {
				t.Errorf("got the user %q, which no header can carry", name)
			}
			if u.weight < 10 {
				u.hash.MatchesPassword("x")
			}
		}
	})
}

func BenchmarkBasicRemembered(b *testing.B) {
	benchmark(b, newAsked(b, basicRoute("", map[string]schema.Secret{"ann": schema.Secret(bcryptOf(b, "right", 10))})), basicOf("ann", "right"))
}
