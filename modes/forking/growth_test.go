package forking

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// allocated is the number of bytes and of pieces of memory that do takes.
func allocated(do func()) (bytes, pieces uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, after.Mallocs - before.Mallocs
}

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
			cost := func(n int) (bytes, pieces uint64) {
				text := form(n)
				source := &counting{r: strings.NewReader(text)}
				bytes, pieces = allocated(func() { read(source) })
				if source.n > len(text) {
					t.Errorf("%s of %s: got %d bytes read of %d", name, what, source.n, len(text))
				}
				return bytes, pieces
			}
			cost(9000) // what is made once
			const n = 9000
			bytes, pieces := cost(n)
			bytes += 64 << 10 // buffers, which the collector may take meanwhile
			for _, times := range []uint64{2, 10} {
				moreBytes, morePieces := cost(int(times) * n)
				if most := times * 3 / 2; moreBytes > most*bytes || morePieces > most*(pieces+20) {
					t.Errorf("%s of %s, %d times the bytes: got %d bytes in %d pieces after %d in %d, want at most %d times as many", name, what, times, moreBytes, morePieces, bytes, pieces, most)
				}
			}
		}
	}
}
