package testkit

import (
	"bytes"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// Form is a multipart form of pairs: a name and a value, or name@filename and a content.
func Form(t testing.TB, pairs ...string) (contentType string, body *bytes.Buffer) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for i := 0; i < len(pairs); i += 2 {
		var part io.Writer
		var err error
		if name, file, ok := strings.Cut(pairs[i], "@"); ok {
			part, err = w.CreateFormFile(name, file)
		} else {
			part, err = w.CreateFormField(name)
		}
		if err == nil {
			_, err = io.WriteString(part, pairs[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), body
}
