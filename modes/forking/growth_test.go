package forking

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// A form costs no more than in proportion to its bytes, and reads each of them once.
func TestAFormCostsInProportionToItsBytes(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	head := func(i int) string { return fmt.Sprintf("Content-Disposition: form-data; name=n%d", i) }
	for what, form := range map[string]func(n int) string{
		"parts": func(n int) string { return formHead(n/100, head) },
		"the same name": func(n int) string {
			return formHead(n/100, func(int) string { return "Content-Disposition: form-data; name=a" })
		},
		"names that collide": func(n int) string {
			return formHead(n/100, func(i int) string {
				return fmt.Sprintf("Content-Disposition: form-data; name=a; filename=a-%d", i%7)
			})
		},
		"a content": func(n int) string {
			return strings.Replace(formHead(1, head), "\r\nx\r\n", "\r\n"+strings.Repeat("é\"\n", n/4)+"\r\n", 1)
		},
		"a binary": func(n int) string {
			return strings.Replace(formHead(1, head), "\r\nx\r\n", "\r\n"+strings.Repeat("\xff", n)+"\r\n", 1)
		},
		"near a border": func(n int) string {
			return strings.Replace(formHead(1, head), "\r\nx\r\n", "\r\n"+strings.Repeat("\r\n--", n/4)+"\r\n", 1)
		},
		"no form": func(n int) string { return strings.Repeat("--", n/2) },
	} {
		for name, read := range map[string]func(r io.Reader){
			"json": func(r io.Reader) {
				if object, err := jsonForm(r, "b"); err == nil {
					object.Free()
				}
			},
			"files": func(r io.Reader) {
				if _, remove, err := filesForm(r, "b", nil); err == nil {
					remove()
				}
			},
		} {
			buffers := testkit.Cost{"bytes": 64 << 10, "pieces": 20} // which the collector may take meanwhile
			testkit.InProportion(t, name+" of "+what, 9000, buffers, func(n int) testkit.Cost {
				text := form(n)
				source := &counting{r: strings.NewReader(text)}
				cost := testkit.Allocated(func() { read(source) })
				if source.n > len(text) {
					t.Errorf("%s of %s: got %d bytes read of %d", name, what, source.n, len(text))
				}
				return cost
			})
		}
	}
}
