// Package conformance_test is the official suite of the release in go.mod, whole and unchanged, as one test program.
package conformance_test

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
