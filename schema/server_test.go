package schema

import (
	"reflect"
	"testing"
)

func TestServerErrorsSelectsOpenFaaSCompatibility(t *testing.T) {
	for errors, want := range map[string]struct{ any, classic bool }{
		"problem":  {false, false},
		"openfaas": {true, false},
		"classic":  {true, true},
	} {
		c, err := Parse("watchdog.yaml", []byte("server: {errors: "+errors+"}\nroutes:\n  - {name: a, fprocess: a}\n"), environment)
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.ValueOf(c.Compat)
		for i := range v.NumField() {
			wanted := want.any
			switch v.Type().Field(i).Name {
			case "ClassicLines":
				wanted = want.classic
			case "AnyPort":
				wanted = false // of a command that is served without a file
			}
			if got := v.Field(i).Bool(); got != wanted {
				t.Errorf("errors: %s: %s: got %t, want %t", errors, v.Type().Field(i).Name, got, wanted)
			}
		}
	}
}
