//go:build !race

package integration_test

const memoryFactor = 1
