// Package listing prints what a command lists.
package listing

import (
	"encoding/json"
	"io"
)

// JSON prints value as JSON that a person can read too.
func JSON(w io.Writer, value any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(value)
}
