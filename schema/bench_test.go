package schema

import (
	"os"
	"testing"
)

func BenchmarkX(b *testing.B) {
	data, _ := os.ReadFile("/tmp/s/10k.yaml")
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("/tmp/s/10k.yaml", data, nil); err != nil {
			b.Fatal(err)
		}
	}
}
