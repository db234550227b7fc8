package server

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestOfASettingThatComesTwiceTheLaterOneHolds(t *testing.T) {
	frame := func(length, kind, flags byte, payload string) string {
		return string([]byte{0, 0, length, kind, flags, 0, 0, 0, 0}) + payload
	}
	const a1, a2, b = "\x00\x04\x00\x00\x00\x01", "\x00\x04\x00\x00\x00\x02", "\x00\x03\x00\x00\x00\x09"
	data := frame(18, 0, 0, a1+a1+a2)
	in := preface + frame(18, settingsType, 0, a1+b+a2) + data + frame(0, settingsType, settingsAck, "") + frame(6, settingsType, 0, b)
	want := preface + frame(12, settingsType, 0, a2+b) + data + frame(0, settingsType, settingsAck, "") + frame(6, settingsType, 0, b)
	for _, step := range []int{0, 1, 7} {
		got, err := io.ReadAll(&settingsConn{Conn: &script{in: strings.NewReader(in), step: step}, left: len(preface)})
		if err != nil || string(got) != want {
			t.Errorf("%d bytes a read: got %q, %v, want %q", step, got, err, want)
		}
	}
}

// Whatever comes, and however it is cut, the frames that are no settings pass unchanged,
// and no frame grows.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x01"), 1)
	f.Add([]byte("\x00\x00\x0c\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x01\x00\x04\x00\x00\x00\x02\x00\x00\x01\x00\x01\x00\x00\x00\x01x"), 0)
	f.Fuzz(func(t *testing.T, raw []byte, step int) {
		read := func(step int) []byte {
			got, _ := io.ReadAll(&settingsConn{Conn: &script{in: strings.NewReader(string(raw)), step: step}}) // it may end within a frame
			return got
		}
		whole, cut := read(0), read(max(0, step%16))
		if !bytes.Equal(whole, cut) {
			t.Errorf("%q: got %q in pieces of %d, want %q", raw, cut, step, whole)
		}
		if len(whole) > len(raw) {
			t.Errorf("%q: got %q, which is longer", raw, whole)
		}
		if len(raw) > 3 && raw[3] != settingsType {
			length := frameHead + int(raw[0])<<16 + int(raw[1])<<8 + int(raw[2])
			if n := min(length, len(raw)); len(raw) >= frameHead && !bytes.Equal(whole[:min(n, len(whole))], raw[:n]) {
				t.Errorf("%q: got %q, want the first frame as it came", raw, whole)
			}
		}
	})
}
