package integration_test

import (
	"strings"
	"testing"
)

// TestDoctor breaks one thing after the other and sees what is said of it.
func TestDoctor(t *testing.T) {
	w := example(t)
	uma := w.administer()
	code, text := uma("doctor")
	t.Logf("%d\n%s", code, text)
	_ = strings.Contains
}
