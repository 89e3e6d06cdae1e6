//go:build tools

// Package tools names the program for go.mod.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
