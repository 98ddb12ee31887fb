// Package vendorclients drives the simulator with the vendor's own Go client, which knows
// nothing of us: the simulator takes what it sends, and it can read what it is answered.
// docs/simulator.md tells other teams to rely on that.
//
// The simulator is strict here, so that it answers 422 to what departs from the contract,
// and every test ends with a look into its log for such requests.
//
// It is a module of its own, so that the client is no dependency of the service.
//
//	go test -mod=mod ./...    in this folder; `make test` does it too
package vendorclients
