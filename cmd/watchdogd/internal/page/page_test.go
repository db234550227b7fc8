package page

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func ask(h http.Handler, method, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestThePageIsSmallAndItsPolicyNamesWhatIsInIt(t *testing.T) {
	w := ask(&Page{Name: `<b>"shop"</b>`, Version: "v1", Control: true}, "GET", "http://localhost/_/", nil)
	body := w.Body.String()
	if len(body) > 150<<10 {
		t.Errorf("got %d bytes, want at most 150 KiB", len(body))
	}
	if strings.Contains(body, "<b>") || !strings.Contains(body, "&lt;b&gt;") {
		t.Error("the name of the stack: got HTML, want text")
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, tag := range []string{"style", "script"} {
		rest, found := body, 0
		for {
			_, after, ok := strings.Cut(rest, "<"+tag+">")
			if !ok {
				break
			}
			text, more, _ := strings.Cut(after, "</"+tag+">")
			if !strings.Contains(policy, hash(text)) {
				t.Errorf("%s of %d bytes: got a policy without its hash: %s", tag, len(text), policy)
			}
			rest, found = more, found+1
		}
		if found == 0 {
			t.Errorf("got no %s in the page", tag)
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy: got %s, want nothing that is unsafe", policy)
	}
	if read := ask(&Page{Name: "shop"}, "GET", "http://localhost/_/", nil).Body.String(); strings.Contains(read, `id="logs"`) || strings.Contains(read, `data-control="true"`) {
		t.Error("the page for reading: got logs or actions, want none")
	}
}

func TestOnlyPagesOfTheSameOriginAct(t *testing.T) {
	for _, c := range []struct {
		name, method string
		header       http.Header
		want         bool
	}{
		{"its own page", "POST", http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		{"the address bar", "GET", http.Header{"Sec-Fetch-Site": {"none"}}, true},
		{"a form that was typed in", "POST", http.Header{"Sec-Fetch-Site": {"none"}}, false},
		{"another site", "GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"another port of this machine", "POST", http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
		{"an older browser's own page", "POST", http.Header{"Origin": {"http://example.com"}}, true},
		{"an older browser's other page", "POST", http.Header{"Origin": {"http://evil.example"}}, false},
		{"a sandbox", "POST", http.Header{"Origin": {"null"}}, false},
		{"no origin", "POST", nil, false},
		{"two origins", "POST", http.Header{"Origin": {"http://example.com", "http://evil.example"}}, false},
		{"curl", "GET", nil, true},
	} {
		r := httptest.NewRequest(c.method, "http://example.com/_/stop/api", nil)
		for name, values := range c.header {
			r.Header[name] = values
		}
		if got := SameOrigin(r); got != c.want {
			t.Errorf("%s, %s: got %v, want %v", c.name, c.method, got, c.want)
		}
	}
}

func TestALoginIsGoodForAsLongAsItsToken(t *testing.T) {
	l := &Login{Page: &Page{Name: "shop"}, Token: "secret"}
	post := func(token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "http://localhost/_/login", strings.NewReader(url.Values{"token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		return w
	}
	for _, wrong := range []string{"", "Secret", "secret ", strings.Repeat("x", 2*mostForm)} {
		if w := post(wrong); w.Code != 401 || w.Header().Get("Set-Cookie") != "" || !strings.Contains(w.Body.String(), "not the token") {
			t.Errorf("token of %d bytes: got %d with cookie %q, want 401 and the form", len(wrong), w.Code, w.Header().Get("Set-Cookie"))
		}
	}
	w := post("secret")
	cookies := w.Result().Cookies()
	if w.Code != 303 || len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Path != "/_/" {
		t.Fatalf("got %d and %v, want a redirect and a strict cookie", w.Code, cookies)
	}
	signed := func(l *Login, value string) bool {
		r := httptest.NewRequest("GET", "http://localhost/_/", nil)
		r.AddCookie(&http.Cookie{Name: cookieName, Value: value})
		return l.Signed(r)
	}
	good := cookies[0].Value
	if !signed(l, good) || !signed(&Login{Token: "secret"}, good) {
		t.Error("the cookie: got refused, want it to be good, also for another daemon with the token")
	}
	until, signature, _ := strings.Cut(good, ".")
	past := "1000"
	for name, bad := range map[string]string{
		"none": "", "no signature": until, "a later end": until + "0." + signature, "another's end": past + "." + signature,
		"over": past + "." + l.sign(past), "too long": strings.Repeat("9", 40) + "." + l.sign(strings.Repeat("9", 40)),
	} {
		if signed(l, bad) {
			t.Errorf("%s: got let in, want refused", name)
		}
	}
	if signed(&Login{Token: "changed"}, good) {
		t.Error("after the token was changed: got let in, want refused")
	}
}

func TestADoorOpensOnce(t *testing.T) {
	reached := ""
	d := NewDoor("127.0.0.1:9", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached = r.Method + " " + r.URL.Path }))
	at := d.URL()
	typed := http.Header{"Sec-Fetch-Site": {"none"}}
	if w := ask(d, "GET", "http://127.0.0.1:9/_/?token=WRONG", typed); w.Code != 403 {
		t.Errorf("a wrong token: got %d, want 403", w.Code)
	}
	if w := ask(d, "GET", strings.Replace(at, "127.0.0.1", "evil.example", 1), typed); w.Code != 421 {
		t.Errorf("another name: got %d, want 421", w.Code)
	}
	if w := ask(d, "GET", "http://127.0.0.1:9/_/", typed); w.Code != 403 || reached != "" {
		t.Errorf("no token: got %d, want 403", w.Code)
	}
	w := ask(d, "GET", at, typed)
	if w.Code != 303 || w.Header().Get("Location") != "/_/" || len(w.Result().Cookies()) != 1 {
		t.Fatalf("the token: got %d to %q with %v, want a redirect with a cookie", w.Code, w.Header().Get("Location"), w.Result().Cookies())
	}
	c := w.Result().Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("got the cookie %v, want HttpOnly and Strict", c)
	}
	if w := ask(d, "GET", at, typed); w.Code != 403 || len(w.Result().Cookies()) != 0 {
		t.Errorf("the token again: got %d, want 403", w.Code)
	}
	with := func(site string) http.Header {
		return http.Header{"Cookie": {c.Name + "=" + c.Value}, "Sec-Fetch-Site": {site}}
	}
	if w := ask(d, "POST", "http://127.0.0.1:9/_/stop/api", with("same-origin")); w.Code != 200 || reached != "POST /_/stop/api" {
		t.Errorf("its page: got %d and %q, want it to act", w.Code, reached)
	}
	reached = ""
	for _, site := range []string{"cross-site", "same-site", "none"} {
		if w := ask(d, "POST", "http://127.0.0.1:9/_/stop/api", with(site)); w.Code != 403 {
			t.Errorf("%s: got %d, want 403", site, w.Code)
		}
	}
	if w := ask(d, "GET", "http://127.0.0.1:9/v1/ps", with("same-origin")); w.Code != 404 {
		t.Errorf("another path: got %d, want 404", w.Code)
	}
	if reached != "" {
		t.Errorf("got %q to reach the page, want nothing", reached)
	}
}

// A browser follows a link of another page without a strict cookie, also where it is redirected.
func TestADoorLeadsOnFromAnotherPage(t *testing.T) {
	d := NewDoor("127.0.0.1:9", http.NotFoundHandler())
	w := ask(d, "GET", d.URL(), http.Header{"Sec-Fetch-Site": {"cross-site"}})
	if w.Code != 200 || w.Header().Get("Refresh") != "0; url=/_/" || len(w.Result().Cookies()) != 1 {
		t.Errorf("got %d, refresh %q and %v, want a page that leads on with its cookie", w.Code, w.Header().Get("Refresh"), w.Result().Cookies())
	}
}
