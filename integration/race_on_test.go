//go:build race

package integration_test

// memoryFactor: the race detector keeps several words for each word of memory.
const memoryFactor = 10
