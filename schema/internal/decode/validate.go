package decode

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// newValidate knows the words of the validate tags: the validator's own, and others.
func newValidate(words map[string]func(string) *phrase.Mistake) *validator.Validate {
	v := validator.New()
	for word, check := range words {
		// An error is for a tag that is empty or reserved.
		_ = v.RegisterValidation(word, func(f validator.FieldLevel) bool { return check(f.Field().String()) == nil })
	}
	return v
}

// invalid returns what is wrong with a value by its validate tag, or nil.
func (d *Decoder) invalid(v reflect.Value, tag string) *phrase.Mistake {
	err := d.validate.Var(v.Interface(), tag)
	if err == nil {
		return nil
	}
	var fields validator.ValidationErrors
	if !errors.As(err, &fields) {
		return &phrase.Mistake{Message: err.Error()}
	}
	value := fmt.Sprint(v.Interface())
	f := fields[0]
	if check := d.rules.Words[f.Tag()]; check != nil {
		return check(value)
	}
	switch f.Tag() {
	case "oneof":
		m := phrase.NotOneOf(value, strings.Fields(f.Param()))
		return &m
	case "min":
		return &phrase.Mistake{Message: fmt.Sprintf("must be %s or more, not %s", bound(f.Param(), v.Type()), value)}
	case "max":
		return &phrase.Mistake{Message: fmt.Sprintf("must be %s or less, not %s", bound(f.Param(), v.Type()), value)}
	}
	return &phrase.Mistake{Message: "must not be " + phrase.Quote(value)}
}

// bound writes a bound as a value of its type is written.
func bound(param string, t reflect.Type) string {
	v := reflect.New(t).Elem()
	if n, err := strconv.ParseInt(param, 10, 64); err == nil && v.CanInt() {
		v.SetInt(n)
		return fmt.Sprint(v.Interface())
	}
	return param
}
