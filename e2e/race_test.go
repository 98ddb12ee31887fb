//go:build race

package e2e_test

// raced says that the binary under test is to be built with the race detector: as
// its tests are.
const raced = true
