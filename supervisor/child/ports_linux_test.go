package child

import "testing"

func TestAddressesOfTheKernelsTables(t *testing.T) {
	for in, want := range map[string]string{
		"0100007F:1435":                         "127.0.0.1:5173",
		"00000000000000000000000001000000:1435": "[::1]:5173",
		"00000000000000000000000000000000:0050": "[::]:80",
		"0000000000000000FFFF00000100007F:0050": "127.0.0.1:80",
	} {
		if got, ok := tableAddress(in); !ok || got.String() != want {
			t.Errorf("%s: got %v, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", ":", "0100007F", "0100007F:1ffff", "01:1"} {
		if got, ok := tableAddress(in); ok {
			t.Errorf("%q: got %v, want none", in, got)
		}
	}
}
