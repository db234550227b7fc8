//go:build !race

package routes

const racing = false
