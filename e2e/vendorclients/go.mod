module github.com/agentsvc/agentsvc/e2e/vendorclients

go 1.26.0

require (
	github.com/agentsvc/agentsvc v0.0.0
	github.com/digitalocean/godo v1.236.0
	golang.org/x/oauth2 v0.37.0
)

require (
	github.com/google/go-querystring v1.1.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.7 // indirect
	golang.org/x/time v0.16.0 // indirect
)

// The simulator beside this folder, as it is.
replace github.com/agentsvc/agentsvc => ../..
