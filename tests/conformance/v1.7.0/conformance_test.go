// Package conformance_test is the official conformance suite of the release in go.mod, compiled unchanged as a program.
package conformance_test

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
