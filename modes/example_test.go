package modes_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"

	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/schema"
)

func Example() {
	config, err := schema.Parse("watchdog.yaml", []byte("routes: [{name: shout, mode: streaming, fprocess: tr a-z A-Z}]"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := modes.New(&config.Routes[0], modes.Deps{})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("hello")))
	fmt.Println(w.Code, w.Body)
	if c, ok := handler.(io.Closer); ok {
		_ = c.Close() // no call uses it any more
	}
	// Output: 200 HELLO
}
