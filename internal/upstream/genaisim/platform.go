package genaisim

import "time"

// The keys with which models are called that exist in every simulator from the
// start. There is no way to make one any more.
const (
	ModelKeyA = "6a1f2c30-51d0-4e6b-8f00-000000000a01"
	ModelKeyB = "6a1f2c30-51d0-4e6b-8f00-000000000a02"
)

// platform is the part of the state about what serves agents beside knowledge
// bases. Its lists are by creation.
type platform struct {
	importTime time.Duration

	providerKeys []*providerKey // of all providers
	modelKeys    []*apiKey
	routers      []*router
	customModels []*customModel
	workspaces   []*workspace

	deleted map[string]bool // the ids of those that agents can refer to, once deleted
	codes   map[string]bool // of people's consent, once exchanged for tokens
}

func newPlatform(cfg Config) platform {
	key := func(id, name string) *apiKey {
		return &apiKey{uuid: id, name: name, createdBy: OwnerID, createdAt: seedEpoch()}
	}
	return platform{
		importTime: cfg.ImportTime,
		modelKeys:  []*apiKey{key(ModelKeyA, "production"), key(ModelKeyB, "notebooks")},
		deleted:    make(map[string]bool), codes: make(map[string]bool),
	}
}

// count counts what there is.
func (p *platform) count(counts map[string]int) {
	counts["provider_keys"], counts["model_api_keys"] = len(p.providerKeys), len(p.modelKeys)
	counts["model_routers"], counts["custom_models"] = len(p.routers), len(p.customModels)
	counts["workspaces"] = len(p.workspaces)
}
